-- name: end-backends
-- End sessions of ours whose connections were given up, so that they keep no locks.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE pid = ANY ($1) AND usename = current_user AND application_name = current_setting('application_name')
    AND pid <> pg_backend_pid();
