-- `memberships_by_state` gives the present members, too.
DROP INDEX memberships_current;
