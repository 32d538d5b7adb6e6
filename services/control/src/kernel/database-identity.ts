/**
 * The identity of the running server and its database, as an SQL expression of type text. A restored snapshot has the
 * same system identifier and timeline. But replacing the files requires a restart, so the start time counts too. A dump
 * that is loaded into a running server has another database, or another file for this table.
 */
export const DATABASE_IDENTITY = `(select concat_ws('/', s.system_identifier,
    substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8), extract(epoch from pg_postmaster_start_time()),
    (select d.oid from pg_database d where d.datname = current_database()), pg_relation_filenode('incarnation'))
  from pg_control_system() s)`;
