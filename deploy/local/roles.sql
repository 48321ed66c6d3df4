-- The database and its roles; harmless when they are there. For psql 15 or newer, as a superuser.
-- Passwords come from the environment, so that no command line shows them.
\set ON_ERROR_STOP on
\getenv examflow_password EXAMFLOW_OWNER_PASSWORD
\getenv registration_password EXAMFLOW_REGISTRATION_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY['examflow', 'registration']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec
ALTER ROLE examflow PASSWORD :'examflow_password';
ALTER ROLE registration PASSWORD :'registration_password';

SELECT 'CREATE DATABASE examflow OWNER examflow'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'examflow')
\gexec
