"""What the shop's services can do: their operations, whom these call in turn, and what they log on the way.

Names, calls and log texts follow the services of the OpenTelemetry demo (https://github.com/open-telemetry/opentelemetry-demo).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

DEBUG, INFO, WARN, ERROR = 5, 9, 13, 17

FACTS: Mapping[str, str] = {
    "user": "app.user.id",
    "session": "session.id",
    "order": "app.order.id",
    "product": "app.product.id",
    "currency": "app.user.currency",
    "amount": "app.order.amount",
    "items": "app.cart.items.count",
    "tracking": "app.shipping.tracking.id",
    "transaction": "app.payment.transaction.id",
}
"""What is known about a visit -> the attribute that tells it."""


@dataclass(frozen=True, slots=True)
class Call:
    """Calls another operation, perhaps; `each` once per item in the cart, `vital` means its failure is ours."""

    operation: str
    chance: float = 1.0
    each: bool = False
    vital: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """Asks a database."""

    system: str
    verb: str
    table: str
    statement: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Sends a message that others consume later."""

    topic: str


Action: TypeAlias = Call | Query | Publish


@dataclass(frozen=True, slots=True)
class Saying:
    """A log record that an operation may write; `fields` names facts for its attributes."""

    chance: float
    severity: int
    text: str
    fields: tuple[str, ...] = ()
    event_name: str = ""
    structured: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a service does: an HTTP route (`verb` a method) or a gRPC method (`verb` empty)."""

    service: str
    verb: str
    name: str
    work_ms: float = 2.0
    does: tuple[Action, ...] = ()
    facts: tuple[str, ...] = ()
    says: tuple[Saying, ...] = ()
    event: str = ""


def _sql(verb: str, table: str, statement: str) -> Query:
    return Query("postgresql", verb, table, statement)


def _redis(verb: str, statement: str) -> Query:
    return Query("redis", verb, "", statement)


_ACCESS = Saying(0.35, INFO, "access", ("session",), structured=True)
_PRODUCTS = "SELECT p.id, p.name, p.description, p.picture, p.price_units, p.price_nanos FROM catalog.products p"

OPERATIONS: Mapping[str, Operation] = {
    "home": Operation("frontend", "GET", "/", 4.0,
        (Call("list-products"), Call("currencies", 0.5), Call("ads", 0.8, vital=False),
         Call("recommend", 0.7, vital=False)),
        ("session", "currency")),
    "product-page": Operation("frontend", "GET", "/product/[productId]", 3.0,
        (Call("get-product"), Call("convert"), Call("ads", 0.9, vital=False), Call("recommend", 0.9, vital=False)),
        ("session", "product", "currency")),
    "api-product": Operation("frontend", "GET", "/api/products/[productId]", 2.0,
        (Call("get-product"), Call("convert")), ("session", "product"), (_ACCESS,)),
    "api-data": Operation("frontend", "GET", "/api/data", 1.5, (Call("ads"),), ("session", "user")),
    "api-recommend": Operation("frontend", "GET", "/api/recommendations", 2.0,
        (Call("recommend"), Call("get-product", each=True), Call("convert", each=True)), ("session", "product")),
    "api-cart": Operation("frontend", "GET", "/api/cart", 2.0,
        (Call("get-cart"), Call("get-product", each=True), Call("convert", each=True)),
        ("session", "user", "currency")),
    "api-add": Operation("frontend", "POST", "/api/cart", 2.0, (Call("add-item"), Call("get-cart")),
        ("session", "user", "product"), (_ACCESS,)),
    "api-checkout": Operation("frontend", "POST", "/api/checkout", 3.0,
        (Call("place-order"), Call("get-product", each=True)), ("session", "user", "currency"), (_ACCESS,)),

    "add-item": Operation("cart", "", "oteldemo.CartService/AddItem", 0.8,
        (_redis("HGET", "HGET ?"), _redis("HMSET", "HMSET ? cart ?"), _redis("EXPIRE", "EXPIRE ? 3600")),
        ("user", "product"),
        (Saying(0.8, INFO, "AddItemAsync called with userId={user}, productId={product}, quantity={items}",
                ("user", "product")),),
        "Fetch cart"),
    "get-cart": Operation("cart", "", "oteldemo.CartService/GetCart", 0.6, (_redis("HGET", "HGET ?"),),
        ("user", "items"),
        (Saying(0.7, INFO, "GetCartAsync called with userId={user}", ("user",)),), "Fetch cart"),
    "empty-cart": Operation("cart", "", "oteldemo.CartService/EmptyCart", 0.6,
        (_redis("HMSET", "HMSET ? cart ?"), _redis("EXPIRE", "EXPIRE ? 3600")), ("user",),
        (Saying(0.8, INFO, "EmptyCartAsync called with userId={user}", ("user",)),)),

    "place-order": Operation("checkout", "", "oteldemo.CheckoutService/PlaceOrder", 2.5,
        (Call("get-cart"), Call("get-product", each=True), Call("convert", each=True), Call("quote-shipping"),
         Call("charge"), Call("ship"), Call("empty-cart", vital=False), Call("confirm", vital=False),
         Publish("orders")),
        ("user", "order", "amount", "items", "currency"),
        (Saying(1.0, INFO, "[PlaceOrder] user_id={user} user_currency={currency}", ("user", "currency")),
         Saying(1.0, INFO, "payment went through (transaction_id: {transaction})", ("transaction", "order")),
         Saying(1.0, INFO, "order placed", ("order", "user", "amount", "items"), "app.order.placed"),
         Saying(0.3, WARN, "failed to send order confirmation to user {user} in time, retrying", ("order",))),
        "prepared"),
    "charge": Operation("payment", "", "oteldemo.PaymentService/Charge", 6.0, (), ("user", "amount", "transaction"),
        (Saying(1.0, INFO, "Charge request received.", ("amount", "currency"), "app.payment.charge", True),
         Saying(1.0, INFO, "Transaction complete.", ("transaction", "amount"), structured=True)), "charged"),

    "list-products": Operation("product-catalog", "", "oteldemo.ProductCatalogService/ListProducts", 1.2,
        (_sql("SELECT", "catalog.products", _PRODUCTS + " ORDER BY p.id"),), (),
        (Saying(0.15, DEBUG, "listing products for session {session}", ("session",)),)),
    "get-product": Operation("product-catalog", "", "oteldemo.ProductCatalogService/GetProduct", 0.9,
        (_sql("SELECT", "catalog.products", _PRODUCTS + " WHERE p.id = $1"),), ("product",),
        (Saying(0.5, INFO, "Product Found - ID: {product}", ("product",)),), "Product Found"),
    "recommend": Operation("recommendation", "", "oteldemo.RecommendationService/ListRecommendations", 3.0,
        (Call("list-products"),), ("product", "items"),
        (Saying(0.8, INFO, "Receive ListRecommendations for product ids:['{product}']", ("product",)),
         Saying(0.1, WARN, "recommendation cache miss for {user}, falling back to the catalogue", ("user",)))),
    "currencies": Operation("currency", "", "oteldemo.CurrencyService/GetSupportedCurrencies", 0.3, (), (),
        (Saying(0.2, DEBUG, "GetSupportedCurrencies successful"),)),
    "convert": Operation("currency", "", "oteldemo.CurrencyService/Convert", 0.3, (), ("currency",),
        (Saying(0.4, INFO, "Convert conversion successful", ("currency",)),),
        "Conversion successful, response sent back"),
    "ads": Operation("ad", "", "oteldemo.AdService/GetAds", 2.0, (), ("user", "session"),
        (Saying(0.7, INFO, "Targeted ad request received for [{product}]", ("session", "product")),
         Saying(0.1, DEBUG, "non-targeted ad request received, preparing random response.", ("session",)))),

    "quote-shipping": Operation("shipping", "POST", "/get-quote", 1.0, (Call("quote"),), ("items",),
        (Saying(1.0, INFO, "Sending Quote: {amount}", ("amount",)),)),
    "quote": Operation("quote", "POST", "/getquote", 2.5, (), ("items", "amount"),
        (Saying(1.0, INFO, "Calculated quote", ("amount", "items"), structured=True),),
        "Quote processed, response sent back"),
    "ship": Operation("shipping", "POST", "/ship-order", 0.8, (), ("tracking",),
        (Saying(1.0, INFO, "Tracking ID Created: {tracking}", ("tracking", "order")),)),
    "confirm": Operation("email", "POST", "/send_order_confirmation", 8.0, (), ("order",),
        (Saying(1.0, INFO, "Order confirmation email sent to: {user}@example.com", ("order",)),)),
}  # fmt: skip

PAGES: Mapping[str, float] = {
    "home": 14,
    "product-page": 22,
    "api-product": 18,
    "api-data": 12,
    "api-recommend": 12,
    "api-cart": 10,
    "api-add": 7,
    "api-checkout": 5,
}
"""What visitors open, with weights."""

CONSUMERS: Mapping[str, tuple[str, bool, Query | None, Saying]] = {
    "accounting": ("accounting", True, _sql("INSERT", "accounting.orderitem",
        "INSERT INTO accounting.orderitem (order_id, product_id, quantity, item_cost_units) VALUES ($1, $2, $3, $4)"),
        Saying(1.0, INFO, "Order details: {order}, shipping tracking {tracking}", ("order", "amount"))),
    "fraud-detection": ("fraud-detection", False, None,
        Saying(1.0, INFO, "Consumed record with orderId: {order}, and updated total count", ("order",))),
}  # fmt: skip
"""Service -> (consumer group, whether it goes on in the producer's trace, what it stores, what it logs)."""

FAILURES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "go": (("*status.Error", "rpc error: code = Unavailable desc = connection refused: {product}"),
           ("context.deadlineExceededError", "context deadline exceeded")),
    "nodejs": (("Error", "Payment request failed. Invalid token. app.loyalty.level=gold"),
               ("TypeError", "Cannot read properties of undefined (reading 'priceUsd')")),
    "java": (("java.util.concurrent.TimeoutException", "Timed out after 500 ms waiting for session {session}"),
             ("io.grpc.StatusRuntimeException", "UNAVAILABLE: io exception")),
    "dotnet": (("Grpc.Core.RpcException",
                'Status(StatusCode="FailedPrecondition", Detail="Can\'t access cart storage of {user}")'),
               ("StackExchange.Redis.RedisConnectionException",
                "No connection is active/available to service this operation: HGET {user}")),
    "python": (("grpc._channel._InactiveRpcError", "StatusCode.DEADLINE_EXCEEDED: Deadline Exceeded"),
               ("KeyError", "'{product}'")),
    "php": (("InvalidArgumentException", "numberOfItems not provided"),),
    "ruby": (("Net::SMTPServerBusy", "450 4.2.1 mailbox of {user} temporarily unavailable"),),
    "rust": (("reqwest::Error", "error sending request for url (http://quote:8080/getquote)"),),
    "cpp": (("std::out_of_range", "map::at: {currency}"),),
}  # fmt: skip
"""Language -> exception types and messages."""

FRAMES: Mapping[str, str] = {
    "go": "main.(*server).{0}\n\t/usr/src/app/main.go:{1}",
    "nodejs": "    at async {0} (/app/.next/server/chunks/{1}.js:1:2{1})",
    "java": "\tat oteldemo.{0}(Service.java:{1})",
    "dotnet": "   at cart.services.{0}(ServerCallContext context) in /usr/src/app/src/services/Service.cs:line {1}",
    "python": '  File "/app/server.py", line {1}, in {0}',
    "php": "#{1} /var/www/app/routes.php: App\\{0}()",
    "ruby": "/email_server/email_server.rb:{1}:in '{0}'",
    "rust": "   {1}: shipping::{0}::{{{{closure}}}}",
    "cpp": "#{1} 0x00005581 in {0} () from /usr/local/bin/service",
}
"""Language -> one line of its stack traces, of a function and a line number."""
