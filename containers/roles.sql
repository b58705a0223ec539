-- The two roles of the shop: droplane_owner makes and changes its tables, droplane_app runs it. Run this as a superuser in the
-- shop's own, empty database; a second time changes nothing. Passwords are set apart from it:
--
--   psql --file containers/roles.sql --dbname droplane
--   psql --command '\password droplane_owner' --command '\password droplane_app' --dbname droplane
--   DATABASE_URL=postgres://droplane_owner:…@host/droplane api migrate --grant-to droplane_app
--
-- What droplane_app may do with each table is granted by the owner, because only the owner knows the tables; see
-- runtime/src/postgres/rights.sql.
do $$
begin
  if to_regrole('droplane_owner') is null then
    create role droplane_owner login;
  end if;
  if to_regrole('droplane_app') is null then
    create role droplane_app login;
  end if;
  -- Before an hour of orders is sealed it is asked when the oldest open transaction began, and other roles' are hidden.
  if not pg_has_role('droplane_app', 'pg_read_all_stats', 'member') then
    grant pg_read_all_stats to droplane_app;
  end if;
  -- Whoever else may log in to this server has no business here, and nobody needs tables of a session.
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to droplane_owner, droplane_app', current_database());
end
$$;

-- Before Postgres 15 everybody could make tables here, and a database that was upgraded from then still lets them.
revoke all on schema public from public;
grant usage, create on schema public to droplane_owner;
grant usage on schema public to droplane_app;
