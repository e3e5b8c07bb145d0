"""The audit log: nobody may change it, and who does all the same is found."""
import re

import pytest
from conftest import DATA, run
from test_switching import watched  # noqa: F401 (fixture)

SWITCH = "MV2.101_Switch_178"


def verify(service, *options, expect=0):
    return run("verify-log", "--data-dir", service.folder / "state", *options, expect=expect)


def test_every_act_is_recorded_and_a_tampered_record_is_named(watched):  # noqa: F811
    for position in ("open", "closed"):
        watched.send("PUT", f"/v1/network/switches/{SWITCH}", {"position": position, "actor": "kim", "reason": "read on site"})
    watched.send("POST", "/v1/advisories/none/acknowledge", {"actor": "kim"})
    run("access", "add-publisher", "NEW", "--key-file", watched.folder / "new.key", "--data-dir", watched.folder / "state")
    run("access", "revoke", "NEW", "--data-dir", watched.folder / "state")
    rows = watched.sql("SELECT number, actor, action, subject FROM backfeed.audit ORDER BY number").splitlines()
    actions = [row.split("|")[2] for row in rows]
    assert actions == ["network.imported", "switch.positioned", "switch.positioned", "access.publisher_added", "access.publisher_revoked"]
    assert rows[1].split("|")[1:] == ["kim", "switch.positioned", SWITCH]

    good = verify(watched)
    end = re.search(r"^end (5:[0-9a-f]{64})$", good.stdout, re.M).group(1)
    assert "intact: 5 records, 1 to 5" in good.stdout and "note:" not in good.stderr
    verify(watched, "--expect", end)
    assert "expected NUMBER:DIGEST" in verify(watched, "--expect", "5", expect=2).stderr

    # The role of the service can neither change nor add nor remove, nor get the owner's rights.
    for statement in (
        "UPDATE backfeed_store.audit_record SET actor = 'x'", "DELETE FROM backfeed_store.audit_record",
        "TRUNCATE backfeed_store.audit_record", "DROP TABLE backfeed_store.audit_record",
        "INSERT INTO backfeed_store.audit_record SELECT 99, now(), '', '', '', '', '', ''",
        "UPDATE backfeed_store.audit_head SET number = 0", "ALTER TABLE backfeed_store.audit_record DISABLE TRIGGER ALL",
        "DROP FUNCTION backfeed_store.audit(text, text, text, text)", "SET ROLE backfeed_audit", "SET ROLE backfeed",
        "DROP SCHEMA backfeed_store CASCADE",
    ):
        with pytest.raises(AssertionError, match="permission denied|must be owner|dependent objects"):
            watched.sql(statement, user="backfeed_service")
    assert watched.sql("SELECT count(*) FROM backfeed_store.audit_record", user="backfeed_service") == "5"

    # A superuser can, and is found: content, order, a hole, the end, a chain that was computed anew.
    def tampered(statement, *options):
        watched.sql(
            "SET session_replication_role = replica; CREATE TABLE kept AS SELECT * FROM backfeed_store.audit_record; "
            "CREATE TABLE kept_head AS SELECT * FROM backfeed_store.audit_head; " + statement)
        problem = verify(watched, *options, expect=1).stderr
        watched.sql(
            "SET session_replication_role = replica; DELETE FROM backfeed_store.audit_record; "
            "INSERT INTO backfeed_store.audit_record SELECT * FROM kept; UPDATE backfeed_store.audit_head h SET number = k.number, digest = k.digest FROM kept_head k; "
            "DROP TABLE kept, kept_head")
        verify(watched)
        return problem

    record = "backfeed_store.audit_record"
    assert re.search(r"record 2 \(.*, switch.positioned of \S+ by eve\) was changed", tampered(f"UPDATE {record} SET actor = 'eve' WHERE number = 2"))
    assert "record 3 was" not in tampered(f"UPDATE {record} SET content = replace(content, 'open', 'closed') WHERE number = 2")
    assert "record 3 is missing" in tampered(f"DELETE FROM {record} WHERE number = 3")
    assert "the end is missing" in tampered(f"DELETE FROM {record} WHERE number = 5")
    assert "record 1 is missing" in tampered(f"DELETE FROM {record} WHERE number = 1")
    assert "does not have the digest" in tampered(
        f"DELETE FROM {record} WHERE number = 5; UPDATE backfeed_store.audit_head SET number = 4, digest = (SELECT digest FROM {record} WHERE number = 4); "
        "SELECT backfeed_store.audit('eve', 'switch.positioned', 'x', '{}')", "--expect", end)


def test_doctor_says_whether_the_log_is_protected(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    assert "ok  the audit log belongs to a role that the service cannot be" in run("doctor", "--data-dir", folder / "state", expect=None).stdout
