import json

from segdistill.reports import summarise
from segdistill.reports.findings.provenance import provenance


def test_what_all_runs_share_is_told_once(three_runs):
    (three_runs[0] / "environment.json").write_text(json.dumps({"device": "cuda", "threads": 2}))
    told = provenance(summarise(three_runs), None)
    assert ("threads", "2") in told.facts
    assert [("device", "cuda") in method.facts for method in told.methods] == [True, False, False]
    assert told.methods[0].runs[0][:3] == ["0", "70.00", "300"]
    assert told.methods[0].recipe.startswith("name: teacher")
