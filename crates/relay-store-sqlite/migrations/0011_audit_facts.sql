-- All that the trail of changes is searched by, without the changes themselves, which are some thirty times
-- as large.
DROP INDEX audit_target;
CREATE INDEX audit_facts ON audit (seq, at, actor, action, target_kind, target_id);
