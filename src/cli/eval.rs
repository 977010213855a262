//! `callslip eval`

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressIterator, ProgressStyle};
use serde::{Deserialize, Deserializer};

use super::{Context, Stop, knowledge};
use crate::{
    db::{Class, TenantScope},
    documents::{self, Progress},
    fault::Fault,
    ids::{DocumentId, VectorStoreId},
    search::Search,
    tenants::Slug,
};

/// Which collection, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// The vector store's name; it is made when it is missing. It should hold nothing else.
    #[arg(long)]
    store: String,
    /// A folder with corpus.jsonl, queries.jsonl and qrels/test.tsv (or qrels.tsv), as BEIR has
    /// them.
    #[arg(long)]
    collection: PathBuf,
}

/// A line of `queries.jsonl`.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    /// Its name in the judgements.
    #[serde(rename = "_id", alias = "id", deserialize_with = "name")]
    pub(super) id: String,
    /// The question.
    pub(super) text: String,
}

/// Some collections have numbers for names.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Name {
        Text(String),
        Number(i64),
    }
    Ok(match Name::deserialize(deserializer)? {
        Name::Text(text) => text,
        Name::Number(number) => number.to_string(),
    })
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = eval(&context, &args).await;
    context.close().await;
    let score = outcome?;
    println!(
        "{} questions: nDCG@10 {:.4}, recall@100 {:.4}",
        score.questions, score.ndcg, score.recall
    );
    Ok(())
}

async fn eval(context: &Context, args: &Args) -> Result<Score, Stop> {
    let Collection { corpus, queries, judged } = Collection::read(&args.collection)?;
    let scope = knowledge::tenant(context, &args.tenant).await?;
    let store = knowledge::builtin_store(context, scope, &args.store).await?;
    let importer = context.parts.importer();
    let bar = bar("{bar:30} {bytes}/{total_bytes} {eta} reading the corpus")?;
    let progress = |step: Progress<'_>| match step {
        Progress::Total(bytes) => bar.set_length(bytes),
        Progress::Reading(_) | Progress::At(_) => {}
        Progress::Done(bytes) => bar.inc(bytes),
    };
    let report = documents::import(&importer, scope, store, &[corpus], &progress).await?;
    bar.finish_and_clear();
    for failure in &report.failed {
        eprintln!("  {}: {}", failure.source, failure.reason);
    }
    while importer.embed_waiting().await? > 0 {}
    if !context.parts.embedder.is_there() {
        eprintln!("there is no embedding model (CALLSLIP_MODEL_DIR): this measures words alone");
    }
    let asker = Asker::new(context, scope, store).await?;
    let mut run = HashMap::new();
    let bar = self::bar("{bar:30} {pos}/{len} {eta} asking")?;
    bar.set_length(queries.len() as u64);
    for query in queries.iter().progress_with(bar) {
        run.insert(query.id.clone(), asker.ask(&query.text).await?);
    }
    Ok(score(&judged, &run))
}

/// Drawn on a terminal only.
fn bar(template: &str) -> Result<ProgressBar, Stop> {
    let style = ProgressStyle::with_template(template).map_err(Stop::because)?;
    Ok(ProgressBar::new(0).with_style(style))
}

/// A collection in BEIR's format.
struct Collection {
    corpus: PathBuf,
    /// Those that are judged.
    queries: Vec<Query>,
    judged: Judgements,
}

impl Collection {
    /// Everything is looked at before anything is imported.
    fn read(folder: &Path) -> Result<Self, Stop> {
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let (Some(corpus), Some(asked), Some(qrels)) = (
            there("corpus.jsonl"),
            there("queries.jsonl"),
            there("qrels/test.tsv").or_else(|| there("qrels.tsv")),
        ) else {
            return Err(Stop(format!(
                "{} is no collection: it must have corpus.jsonl, queries.jsonl and qrels/test.tsv \
                 (or qrels.tsv)",
                folder.display()
            )));
        };
        let judged = judgements(&qrels)?;
        let mut queries = queries(&asked)?;
        queries.retain(|query| judged.contains_key(&query.id));
        if queries.is_empty() {
            return Err(Stop(format!(
                "no question of {} is judged in {}",
                asked.display(),
                qrels.display()
            )));
        }
        let missing = judged.len() - queries.len();
        if missing > 0 {
            eprintln!("{missing} judged questions are not in queries.jsonl: they count as failed");
        }
        Ok(Self { corpus, queries, judged })
    }
}

/// Asks one store, and hears what the sources call the documents that answer.
pub(super) struct Asker {
    scope: TenantScope,
    store: VectorStoreId,
    names: HashMap<DocumentId, String>,
    search: Search,
}

impl Asker {
    pub(super) async fn new(
        context: &Context,
        scope: TenantScope,
        store: VectorStoreId,
    ) -> Result<Self, Stop> {
        let keys = async {
            let mut tx = context.parts.db.tenant(scope).await?;
            documents::store::source_keys(&mut tx, store).await
        };
        let name = |(id, key): (DocumentId, String)| {
            let name = key.strip_prefix("id:").unwrap_or(&key).to_owned();
            (id, name)
        };
        let names = keys.await.map_err(Fault::from)?.into_iter().map(name).collect();
        Ok(Self { scope, store, names, search: context.parts.search(Class::Pages) })
    }

    /// Best first, up to a hundred.
    pub(super) async fn ask(&self, question: &str) -> Result<Vec<String>, Stop> {
        let found = self.search.documents(self.scope, self.store, question).await?;
        Ok(found.iter().filter_map(|id| self.names.get(id).cloned()).collect())
    }
}

/// How well a collection's questions were answered.
#[derive(Debug, PartialEq)]
struct Score {
    questions: usize,
    ndcg: f64,
    recall: f64,
}

type Judgements = BTreeMap<String, BTreeMap<String, f64>>;

fn score(judged: &Judgements, run: &HashMap<String, Vec<String>>) -> Score {
    let mut score = Score { questions: judged.len(), ndcg: 0.0, recall: 0.0 };
    let none = Vec::new();
    for (query, good) in judged {
        let found = run.get(query).unwrap_or(&none);
        let gained = found.iter().map(|id| good.get(id).copied().unwrap_or(0.0));
        let mut ideal: Vec<f64> = good.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let best = discounted(ideal.into_iter());
        score.ndcg += if best > 0.0 { discounted(gained) / best } else { 0.0 };
        let first: BTreeSet<&String> = found.iter().take(100).collect();
        let hits = good.keys().filter(|id| first.contains(id)).count();
        score.recall += float(hits) / float(good.len());
    }
    let questions = float(judged.len().max(1));
    score.ndcg /= questions;
    score.recall /= questions;
    score
}

/// The gains of the first ten, those further down less: gain = grade, as trec_eval and BEIR.
fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains.take(10).zip(2..).map(|(gain, place)| gain / f64::from(place).log2()).sum()
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The questions of a file in JSON lines.
pub(super) fn queries(path: &Path) -> Result<Vec<Query>, Stop> {
    let lines = read(path)?;
    let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| Stop(format!("{}:{}: {error}", path.display(), number + 1)))
        })
        .collect()
}

/// What is judged to answer a question, at least somewhat.
fn judgements(path: &Path) -> Result<Judgements, Stop> {
    let mut judged = Judgements::new();
    for (number, line) in read(path)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let mut cells = line.split('\t').map(str::trim);
        let (Some(query), Some(document), Some(Ok(grade))) =
            (cells.next(), cells.next(), cells.next().map(str::parse::<f64>))
        else {
            // What the columns are called, in most collections.
            if number == 0 && line.split('\t').count() == 3 {
                continue;
            }
            let place = format!("{}:{}", path.display(), number + 1);
            return Err(Stop(format!("{place}: not query, document and grade with tabs between")));
        };
        if grade > 0.0 {
            judged.entry(query.to_owned()).or_default().insert(document.to_owned(), grade);
        }
    }
    Ok(judged)
}

fn read(path: &Path) -> Result<String, Stop> {
    fs::read_to_string(path)
        .map_err(|error| Stop(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand, and the same as trec_eval's.
    #[test]
    fn a_run_is_scored_as_everybody_scores_it() {
        let grades = |pairs: &[(&str, f64)]| {
            pairs.iter().map(|(id, grade)| ((*id).to_owned(), *grade)).collect()
        };
        let judged: Judgements = [
            ("1".to_owned(), grades(&[("a", 2.0), ("b", 1.0)])),
            ("2".to_owned(), grades(&[("c", 1.0)])),
        ]
        .into();
        let run = HashMap::from([("1".to_owned(), ["x", "a", "b"].map(str::to_owned).to_vec())]);
        let found = score(&judged, &run);
        // (2/log2(3) + 1/log2(4)) / (2/log2(2) + 1/log2(3)), and nothing for the second.
        assert!((found.ndcg - 0.669_668 / 2.0).abs() < 1e-4, "{found:?}");
        assert!((found.recall - 0.5).abs() < 1e-9, "{found:?}");
    }
}
