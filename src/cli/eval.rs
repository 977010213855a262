//! `callslip eval`

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Context, Stop, knowledge};
use crate::{
    db::{Class, TenantScope},
    documents,
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
    /// A folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, as BEIR has them.
    #[arg(long)]
    collection: PathBuf,
}

/// A line of `queries.jsonl`.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    /// Its name in the judgements.
    #[serde(rename = "_id", alias = "id")]
    pub(super) id: String,
    /// The question.
    pub(super) text: String,
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
    let judged = judgements(&args.collection.join("qrels/test.tsv"))?;
    let queries = queries(&args.collection.join("queries.jsonl"))?;
    let scope = knowledge::tenant(context, &args.tenant).await?;
    let store = knowledge::builtin_store(context, scope, &args.store).await?;
    let corpus = [args.collection.join("corpus.jsonl")];
    let importer = context.parts.importer();
    let report = documents::import(&importer, scope, store, &corpus, &|_| ()).await?;
    for failure in &report.failed {
        eprintln!("  {}: {}", failure.source, failure.reason);
    }
    while importer.embed_waiting().await? > 0 {}
    if !context.parts.embedder.is_there() {
        eprintln!("there is no embedding model (CALLSLIP_MODEL_DIR): this measures words alone");
    }
    let asker = Asker::new(context, scope, store).await?;
    let mut run = HashMap::new();
    for query in queries.iter().filter(|query| judged.contains_key(&query.id)) {
        run.insert(query.id.clone(), asker.ask(&query.text).await?);
    }
    Ok(score(&judged, &run))
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
    for (number, line) in read(path)?.lines().enumerate().skip(1) {
        let mut cells = line.split('\t');
        let (Some(query), Some(document), Some(Ok(grade))) =
            (cells.next(), cells.next(), cells.next().map(|grade| grade.trim().parse::<f64>()))
        else {
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
