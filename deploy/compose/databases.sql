-- The target has its own database (POSTGRES_DB); this one holds the emulated account.
create database snowflake;
\connect reporting
-- As in the field: an application owns the tables, and Thaw's roles become members of it (deploy/postgres/grants.sql).
create role app nologin;
create schema core authorization app;
set role app;
create table core.customer (
    "C_CUSTKEY" bigint primary key,
    "C_NAME" text not null,
    "C_ADDRESS" text not null,
    "C_NATIONKEY" integer not null,
    "C_PHONE" text not null,
    "C_ACCTBAL" numeric(12, 2) not null,
    "C_MKTSEGMENT" text,
    "C_COMMENT" text,
    "UPDATED_AT" timestamp not null
);
create table core.orders (
    "O_ORDERKEY" bigint primary key,
    "O_CUSTKEY" bigint not null,
    "O_ORDERSTATUS" text not null,
    "O_TOTALPRICE" numeric(12, 2) not null,
    "O_ORDERDATE" date not null,
    "O_ORDERPRIORITY" text not null,
    "O_CLERK" text not null,
    "O_SHIPPRIORITY" integer not null,
    "O_COMMENT" text not null,
    "UPDATED_AT" timestamp not null
);
