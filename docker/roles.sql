-- After each migration, as superuser: the role of the service, that of Grafana, and whom the audit log belongs to.
\set service_password `cat /run/secrets/service_password`
\set reader_password `cat /run/secrets/reader_password`
SELECT backfeed_store.protect('backfeed_service');
ALTER ROLE backfeed_service LOGIN PASSWORD :'service_password';
SELECT 'CREATE ROLE grafana LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') \gexec
ALTER ROLE grafana PASSWORD :'reader_password';
GRANT backfeed_reader TO grafana;
