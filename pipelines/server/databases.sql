-- Roles and databases of MLflow and of Optuna, for psql. May be run again: it sets the passwords of the environment.
-- Whoever has the password of Optuna's role cannot read MLflow's accounts.

-- A statement that fails would be logged with the password in it.
SET log_min_error_statement = panic;

\set mlflow_password `printenv MLFLOW_DB_PASSWORD`
\set optuna_password `printenv OPTUNA_DB_PASSWORD`

SELECT 'CREATE ROLE mlflow LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlflow') \gexec
SELECT 'CREATE ROLE optuna LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'optuna') \gexec
ALTER ROLE mlflow PASSWORD :'mlflow_password';
ALTER ROLE optuna PASSWORD :'optuna_password';

SELECT 'CREATE DATABASE mlflow OWNER mlflow' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'mlflow') \gexec
SELECT 'CREATE DATABASE optuna OWNER optuna' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'optuna') \gexec
REVOKE CONNECT ON DATABASE mlflow FROM PUBLIC;
REVOKE CONNECT ON DATABASE optuna FROM PUBLIC;
