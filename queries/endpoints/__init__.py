"""What answers a request, one module a noun: parameters in, an answer in the form that was asked for out."""
