"""The served OpenAPI document, and Schemathesis with it through the deployed API Gateway."""

import schemathesis

from tests import fuzzing
from tests.e2e.cloud import Cloud


def test_a_few_requests_made_from_the_document(cloud: Cloud) -> None:
    assert cloud.post("/department/upload", {"id": 1, "department": "Staff"}).status == 201
    assert cloud.post("/job/upload", {"id": 1, "job": "Recruiter"}).status == 201
    url, seed = cloud.env["API_URL"], fuzzing.seed()
    token = cloud.env["API_TOKEN"]
    config = fuzzing.config(2, seed, base_url=url, token=token, phases=("examples", "fuzzing"))
    report = fuzzing.run(schemathesis.openapi.from_url(f"{url}/openapi.json", config=config), seed)
    assert not report.failures, str(report)
    assert len(report.requests) >= len(cloud.get("/openapi.json").body["paths"]) - 1


def test_ten_megabytes_are_answered_clearly(cloud: Cloud) -> None:
    """API Gateway refuses more with 413, as it does what Lambda cannot take; emulators let it through to the rules."""
    response = cloud.post("/job/upload", {"job": "x" * 10_000_000})
    assert response.status in (413, 422), response.body
    assert cloud.table("jobs") == []


def test_line_breaks_never_become_headers(cloud: Cloud) -> None:
    for path in ("/loads?dataset=%0d%0aX-Evil:%201", "/loads/%0d%0aX-Evil:%201", "/backups?cursor=%0aX-Evil:%201"):
        response = cloud.get(path)
        assert response.status in (403, 404, 422)
        assert "x-evil" not in {name.lower() for name in response.headers}
