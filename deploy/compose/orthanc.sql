-- Orthanc's own database and role, and nobody in the other's database. Run once, after deploy/local/roles.sql.
\set ON_ERROR_STOP on
\getenv orthanc_password POSTGRES_ORTHANC_PASSWORD

CREATE ROLE orthanc LOGIN PASSWORD :'orthanc_password';
CREATE DATABASE orthanc OWNER orthanc;

REVOKE CONNECT ON DATABASE orthanc FROM PUBLIC;
REVOKE CONNECT ON DATABASE examflow FROM PUBLIC;
GRANT CONNECT ON DATABASE examflow TO registration;
