"""Documents to import, and whether those that are there are whole."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from demo import WORK
from victims import number, sql

FILES, LINES = 150, 150
PARAGRAPH = "Each keeper counts the cats that sleep below the lamp and writes the number down. " * 8


def write_documents(name: str) -> list[Path]:
    """A folder of files and one file of lines, a few hundred documents in all."""
    folder = WORK / name
    folder.mkdir()
    for index in range(FILES):
        (folder / f"note-{index:03}.md").write_text(text_of(name, index))
    lines = [
        json.dumps({"_id": f"{name}/{index}", "title": f"Line {index}", "text": text_of(name, index)})
        for index in range(FILES, FILES + LINES)
    ]
    (folder / "lines.jsonl").write_text("\n".join(lines) + "\n")
    return [folder]


def text_of(name: str, index: int) -> str:
    """Several chunks long; only a whole one begins and ends like this."""
    middle = "\n\n".join(f"Paragraph {number}. {PARAGRAPH}" for number in range(8))
    return f"# Note {index}\n\nBegins {name} {index}.\n\n{middle}\n\nEnds {name} {index}.\n"


def start_import(tenant: str, store: str, paths: list[Path]) -> subprocess.Popen:
    with open(WORK / "import.log", "ab") as log:
        return subprocess.Popen(
            [os.environ["SUITE_BIN"], "import", "--tenant", tenant, "--store", store, *map(str, paths)],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )


def finish_import(tenant: str, store: str, paths: list[Path]) -> None:
    process = start_import(tenant, store, paths)
    status = process.wait(timeout=120)
    assert status == 0, f"the import ended with {status}"


def committed(store: str) -> dict[str, str]:
    """The documents that other sessions see: the name of each, and its id."""
    rows = sql(f"{_DOCUMENTS} select source_key, id from d where name = '{store}'")
    return {key: id for key, id in rows}


def require_whole(store: str) -> None:
    """Every document that is there has all of its text and all of its chunks."""
    broken = sql(
        f"""{_DOCUMENTS}
        select source_key, t.body is null, c.count, c.first, c.last, char_count from d
        left join document_texts t on (t.tenant_id, t.document_id) = (d.tenant_id, d.id)
        left join lateral (
          select count(*), min(ordinal) as first, max(ordinal) as last, max(end_char) as end
          from chunks where (chunks.tenant_id, chunks.document_id) = (d.tenant_id, d.id)
        ) c on true
        where name = '{store}' and not (
          t.body is not null and length(t.body) = char_count and t.body ~ 'Begins' and t.body ~ 'Ends'
          and c.count > 0 and c.first = 0 and c.last = c.count - 1
          and c.end > char_count - 40 and c.end <= char_count
        )"""
    )
    assert not broken, f"{len(broken)} documents are not whole, such as {broken[0]}"
    orphans = number(
        "select (select count(*) from chunks c where not exists (select from documents d"
        " where (d.tenant_id, d.id) = (c.tenant_id, c.document_id)))"
        " + (select count(*) from document_texts t where not exists (select from documents d"
        " where (d.tenant_id, d.id) = (t.tenant_id, t.document_id)))"
    )
    assert orphans == 0, f"{orphans} texts and chunks belong to no document"


_DOCUMENTS = """with d as (
  select documents.*, vector_stores.name from documents
  join vector_stores on (vector_stores.tenant_id, vector_stores.id)
    = (documents.tenant_id, documents.vector_store_id)
)"""
