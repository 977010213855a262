-- A code belongs to the session that it was given in, and ends with it.
-- No foreign key: that a spent code comes back is told apart from one that never was, after signing
-- out too. Null in codes of a node of the version before; they live for a minute.
alter table oauth_authorization_codes
  add column session_hash bytea check (length(session_hash) = 32);
