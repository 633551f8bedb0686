"""A day on which every function makes every kind of call to AWS that it can make."""

import json
from typing import Any

from tests.simulation.backends import API
from tests.simulation.events import http_event
from tests.simulation.scenarios import Outage, Scenario
from tests.simulation.uploads import INPUT, INPUT_ETAG
from tests.simulation.world import World

LOCKED_AT, LOCKED_SECONDS = 600, 300
DAY = Scenario(
    "every-call",
    submissions=(),
    # fal's requests in the order in which they are taken: the fourth comes without its result, the next three unheard.
    fates=("ok", "ok", "ok", "payload_error"),
    ways=("prompt", "prompt", "prompt", "prompt", "lost", "lost", "lost"),
    outages=(Outage("fal.submit", "status403", at=LOCKED_AT, seconds=LOCKED_SECONDS),),
)


class Day:
    """What people, fal and the clock do on it. Where the functions do not answer as they should, an assertion fails."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings = world.settings
        self._s3 = world.backend.client("s3")
        self._made: list[str] = []

    def pass_by(self) -> None:
        """Let it pass."""
        self._first_jobs()
        self._outputs_as_inputs_and_lost_deliveries()
        self._missing_inputs()
        self._locked_account()
        ended = [job["status"] for job in self._get("/jobs?limit=100")["jobs"]]
        assert sorted(ended) == ["failed"] * 2 + ["succeeded"] * 12, ended
        event = {"headers": {"authorization": "Bearer canary-token"}}
        assert self._world.processes.invoke("authorize.handler", event)["isAuthorized"]

    def _first_jobs(self) -> None:
        """Uploads and posts, delivered as they should be; one delivery lacks its result, and one upload is gone."""
        shoe = self._upload("sketch/shoe.jpg")
        self._upload("claymation/cat.jpg", has_version=False)
        self._upload("daytime/gone.jpg", is_there=False)
        words = self._post("words", {"prompt": "A lighthouse"})["job_id"]
        images = ["sketch/shoe.jpg", f"s3://{self._settings.inputs_bucket}/claymation/cat.jpg"]
        self._post("two-images", {"prompt": "Together", "image_urls": images})
        self._wait(120)
        assert self._post("words", {"prompt": "A lighthouse"})["outputs"], "a repeated POST shows what was made"
        made = [self._get(f"/jobs/{job_id}")["outputs"][0] for job_id in (shoe, words)]
        self._made = [f"s3://{self._settings.outputs_bucket}/{output['key']}" for output in made]

    def _outputs_as_inputs_and_lost_deliveries(self) -> None:
        """Three requests of which nothing is heard: the sweep asks fal, and stores."""
        for number, reference in enumerate(self._made):
            self._post(f"once-more-{number}", {"prompt": "Once more", "image_url": reference})
        self._upload("sunset/sea.jpg", has_version=False)

    def _missing_inputs(self) -> None:
        """Inputs that are in no bucket, nor in the outputs' folder, where they have one."""
        folder = self._made[0].removeprefix("s3://").rpartition("/")[0]
        for place in (self._settings.inputs_bucket, self._settings.outputs_bucket, folder):
            self._post("missing", {"prompt": "Nothing", "image_url": f"s3://{place}/none.jpg"}, status=422)

    def _locked_account(self) -> None:
        """Jobs wait for the account, and the sweep sends them when it is open again; one upload is gone by then."""
        self._wait(LOCKED_AT)
        for key in ("products/mug.jpg", "kitchen/table.jpg"):
            self._upload(key)
        # As a bucket tells it that keeps no versions.
        for key in ("sunset/hill.jpg", "storefront/sign.jpg"):
            self._upload(key, has_version=False)
        for number, reference in enumerate(self._made):
            self._post(f"locked-{number}", {"prompt": "When it is open", "image_url": reference})
        self._s3.delete_object(Bucket=self._settings.inputs_bucket, Key="storefront/sign.jpg")
        self._wait(3 * LOCKED_SECONDS)

    def _upload(self, key: str, *, is_there: bool = True, has_version: bool = True) -> str:
        """Put a photo, tell the function of it, and give the id of its job."""
        bucket = self._settings.inputs_bucket
        item = {"key": key, "size": len(INPUT), "etag": INPUT_ETAG, "sequencer": "0055"}
        if is_there:
            put = self._s3.put_object(Bucket=bucket, Key=key, Body=INPUT, ContentType="image/jpeg")
            item |= {"version-id": put["VersionId"]} if has_version else {}
        detail = {"bucket": {"name": bucket}, "object": item}
        body = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
        record = {"messageId": "1", "body": body, "eventSource": "aws:sqs"}
        answer = self._world.processes.invoke("submit.from_upload", {"Records": [record]})
        assert answer == {"batchItemFailures": []}
        return next(str(row["job_id"]["S"]) for row in self._world.backend.rows() if key in str(row.get("upload")))

    def _post(self, key: str, fields: dict[str, Any], status: int = 202) -> dict[str, Any]:
        event = http_event("POST", f"{API}/jobs", {"idempotency-key": key}, json.dumps(fields).encode())
        return self._call("submit.from_api", event, status)

    def _get(self, path: str) -> dict[str, Any]:
        return self._call("jobs.handler", http_event("GET", f"{API}{path}", {}, b""), 200)

    def _call(self, function: str, event: dict[str, Any], status: int) -> dict[str, Any]:
        event["requestContext"]["authorizer"] = {"lambda": {"owner": self._settings.upload_owner}}
        answer = self._world.processes.invoke(function, event)
        assert answer["statusCode"] == status, answer
        content: dict[str, Any] = json.loads(answer["body"])
        return content

    def _wait(self, seconds: float) -> None:
        self._world.run_until(self._world.clock.now() + seconds)
