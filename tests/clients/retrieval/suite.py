"""How well search answers. See `run`."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import checks
from demo import Demo
from victims import sql

COLLECTIONS = Path(os.environ["SUITE_COLLECTIONS"])
# A little below what is reached, and not below the best baseline that was measured: the sum of cosine
# and BM25 over whole documents.
FLOORS = {"cranfield": 0.455, "cacm": 0.57}


def test_cranfield(demo: Demo) -> None:
    """Aerodynamics: 1,400 abstracts, 225 questions."""
    measure(demo, "cranfield")


def test_cacm(demo: Demo) -> None:
    """Computing: 3,204 titles and abstracts, 52 questions."""
    measure(demo, "cacm")


def measure(demo: Demo, name: str) -> None:
    folder = COLLECTIONS / name
    offline = evaluate(demo, name, folder)
    client = demo.client(f"Judge of {name}")
    person = demo.admin()
    page = person.sign_in_at(client.authorization_url("look"))
    stores = re.findall(r'name="store" value="([^"]+)".*?<bdi>([^<]*)</bdi>', page.text)
    (store,) = [value for value, label in stores if label == name]
    tokens = client.redeem(*client.code(person, store=store)).json()
    judged = judgements(folder / "qrels" / "test.tsv")
    lines = (folder / "queries.jsonl").read_text().splitlines()
    questions = {query["_id"]: query["text"] for query in map(json.loads, lines)}

    def ask(question: str) -> list[str]:
        answer = client.call(tokens["access_token"], "search", {"query": questions[question]})
        assert answer.status == 200, f"search answered {answer.status}: {answer.text}"
        return [hit["id"] for hit in answer.json()["result"]["structuredContent"]["results"]]

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(judged, pool.map(ask, judged)))
    names = documents(name)
    score = sum(
        ndcg([names[document_in(id)] for id in found[query]], good) for query, good in judged.items()
    )
    score /= len(judged)
    print(f"        {name}: nDCG@10 {score:.4f} through search; {offline}")
    assert score >= FLOORS[name], f"nDCG@10 {score:.4f} is below {FLOORS[name]}"


def evaluate(demo: Demo, name: str, folder: Path) -> str:
    """Import the collection, wait for its embeddings, and measure from within."""
    done = subprocess.run(
        [os.environ["SUITE_BIN"], "eval", "--tenant", demo.tenant, "--store", name]
        + ["--collection", str(folder)],
        capture_output=True, text=True, timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def documents(store: str) -> dict[str, str]:
    """What the collection calls the documents of a store."""
    rows = sql(
        "select document.id, source_key from documents document "
        "join vector_stores store on store.id = document.vector_store_id "
        f"where store.name = '{store}'"
    )
    return {id: key.removeprefix("id:") for id, key in rows}


def document_in(id: str) -> str:
    """The document that an id names: after its kind and its store."""
    return str(uuid.UUID(bytes=base64.urlsafe_b64decode(id + "=" * (-len(id) % 4))[17:33]))


def judgements(path: Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for line in path.read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            judged.setdefault(query, {})[document] = int(grade)
    return judged


def ndcg(ids: list[str], good: dict[str, int]) -> float:
    assert len(ids) == len(set(ids)), "a document is there twice"
    gained = sum(good.get(id, 0) / math.log2(n + 2) for n, id in enumerate(ids[:10]))
    ideal = sorted(good.values(), reverse=True)[:10]
    return gained / sum(grade / math.log2(n + 2) for n, grade in enumerate(ideal))


if __name__ == "__main__":
    sys.exit(checks.run(__name__, Demo.load()))
