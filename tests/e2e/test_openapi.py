"""Tests the OpenAPI document of the deployed API with requests that Schemathesis generates from it."""

import schemathesis

from tests import fuzzing
from tests.e2e.cloud import Cloud


def test_generated_requests_match_the_document(cloud: Cloud) -> None:
    assert cloud.post("/department/upload", {"id": 1, "department": "Staff"}).status == 201
    assert cloud.post("/job/upload", {"id": 1, "job": "Recruiter"}).status == 201
    url, seed = cloud.env["API_URL"], fuzzing.seed()
    token = cloud.env["API_TOKEN"]
    config = fuzzing.config(2, seed, base_url=url, token=token, phases=("examples", "fuzzing"))
    report = fuzzing.run(schemathesis.openapi.from_url(f"{url}/openapi.json", config=config), seed)
    assert not report.failures, str(report)
    assert len(report.requests) >= len(cloud.get("/openapi.json").body["paths"]) - 1


def test_a_body_of_ten_megabytes_is_refused(cloud: Cloud) -> None:
    """API Gateway responds 413 to a body that is too large for API Gateway or for Lambda. Emulators pass such a body to
    the API, which refuses it, too."""
    response = cloud.post("/job/upload", {"job": "x" * 10_000_000})
    assert response.status in (413, 422), response.body
    assert cloud.table("jobs") == []


def test_line_breaks_in_a_request_never_become_headers_of_the_response(cloud: Cloud) -> None:
    for path in ("/loads?dataset=%0d%0aX-Evil:%201", "/loads/%0d%0aX-Evil:%201", "/backups?cursor=%0aX-Evil:%201"):
        response = cloud.get(path)
        assert response.status in (403, 404, 422)
        assert "x-evil" not in {name.lower() for name in response.headers}
