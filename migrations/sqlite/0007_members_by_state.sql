-- `memberships_by_state` also finds the present members of a group.
DROP INDEX memberships_current;
