//! `callslip eval` and `callslip search --queries` on a collection in BEIR's format.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Terminal, TestApp};

fn write(folder: &Path, name: &str, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(folder.join(name), text).unwrap();
}

/// Four documents, three questions, two of them judged.
fn collection(folder: &Path) {
    let record = |id: &str, title: &str, text: &str| json!({ "_id": id, "title": title, "text": text, "metadata": {} });
    let corpus = [
        record("d1", "Quokkas", "The quokka smiles at dusk."),
        record("d2", "Herons", "The heron keeps a ledger."),
        record("d3", "", "A boiler has a red button."),
        record("4", "Ledgers", ""),
    ];
    write(folder, "corpus.jsonl", &corpus);
    let queries = [
        json!({ "_id": 1, "text": "quokka at dusk", "metadata": {} }),
        json!({ "_id": "q2", "text": "heron ledger" }),
        json!({ "_id": "q3", "text": "nobody judged this" }),
    ];
    write(folder, "queries.jsonl", &queries);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_collection_is_imported_and_scored(pool: PgPool) {
    TestApp::new(&pool).await.tenant("acme").await;
    let terminal = Terminal::new(&pool);
    let folder = tempfile::tempdir().unwrap();
    let eval = format!("eval --tenant acme --store beir --collection {}", folder.path().display());
    let refused = terminal.refusal(&eval, "", "");
    assert!(refused.contains("corpus.jsonl, queries.jsonl and qrels/test.tsv"), "{refused}");

    collection(folder.path());
    fs::write(folder.path().join("qrels.tsv"), "q9\td1\t1\n").unwrap();
    assert!(terminal.refusal(&eval, "", "").contains("no question of"), "nothing is imported");
    fs::write(folder.path().join("qrels.tsv"), "1\td1\t1\nq2\td2\tgood\n").unwrap();
    let refused = terminal.refusal(&eval, "", "");
    assert!(refused.contains("qrels.tsv:2: not query, document and grade"), "{refused}");

    // Without names of columns, and with them, where BEIR has it.
    let judged = "1\td1\t1\nq2\td2\t2\nq2\td3\t0\n";
    fs::write(folder.path().join("qrels.tsv"), judged).unwrap();
    let perfect = "2 questions: nDCG@10 1.0000, recall@100 1.0000";
    assert_eq!(terminal.stdout(&eval, "", ""), perfect);
    fs::remove_file(folder.path().join("qrels.tsv")).unwrap();
    fs::create_dir(folder.path().join("qrels")).unwrap();
    let judged = format!("query-id\tcorpus-id\tscore\n{judged}q9\td1\t1\n");
    fs::write(folder.path().join("qrels/test.tsv"), judged).unwrap();
    let said = terminal.run(&eval, "", "");
    let (out, errors) =
        (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(out.contains("3 questions: nDCG@10 0.6667"), "{out}");
    assert!(errors.contains("1 judged questions are not in queries.jsonl"), "{errors}");

    let run = folder.path().join("run.jsonl");
    let (queries, out) = (folder.path().join("queries.jsonl"), run.display());
    let search =
        format!("search --tenant acme --store beir --queries {} --out {out}", queries.display());
    terminal.stdout(&search, "", "");
    let lines: Vec<Value> = fs::read_to_string(&run)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["query"], &lines[0]["ids"][0]), (&json!("1"), &json!("d1")));
    assert_eq!((&lines[1]["query"], &lines[1]["ids"][0]), (&json!("q2"), &json!("d2")));
    let missing = terminal.refusal(
        &format!("search --tenant acme --store beir --queries nowhere.jsonl --out {out}"),
        "",
        "",
    );
    assert!(missing.contains("cannot read nowhere.jsonl"), "{missing}");
}
