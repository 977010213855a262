//! all-MiniLM-L6-v2, its weights in eight bits: see `models/SOURCE.md`.

use std::{fmt, path::Path, sync::Arc};

use rten::{ModelOptions, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::NdTensor;
use tokenizers::Tokenizer;

use super::{DIMENSIONS, Vector};
use crate::fault::Fault;

/// The name of the model's file.
pub(super) const WEIGHTS: &str = "minilm-l6-v2-int8.onnx";
/// The name of the file that says how texts become tokens.
pub(super) const TOKENISER: &str = "tokenizer.json";
/// A loaded model.
pub(super) struct Model {
    graph: rten::Model,
    inputs: Vec<(NodeId, Input)>,
    output: NodeId,
    tokeniser: Arc<Tokenizer>,
}

#[derive(Clone, Copy)]
enum Input {
    Tokens,
    Mask,
    Types,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").finish_non_exhaustive()
    }
}

impl Model {
    pub(super) fn is_in(folder: &Path) -> bool {
        folder.join(WEIGHTS).is_file() && folder.join(TOKENISER).is_file()
    }

    /// What makes tokens of texts.
    pub(super) fn tokeniser(folder: &Path) -> Result<Tokenizer, Fault> {
        let mut tokeniser = Tokenizer::from_file(folder.join(TOKENISER)).map_err(Fault::new)?;
        tokeniser.with_padding(None);
        tokeniser.with_truncation(None).map_err(Fault::new)?;
        Ok(tokeniser)
    }

    pub(super) fn load(folder: &Path, tokeniser: Arc<Tokenizer>) -> Result<Self, Fault> {
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        let graph = options.load_file(folder.join(WEIGHTS))?;
        let name = |id: NodeId| graph.node_info(id).and_then(|node| node.name().map(str::to_owned));
        let inputs: Option<Vec<_>> = graph
            .input_ids()
            .iter()
            .map(|id| match name(*id)?.as_str() {
                "input_ids" => Some((*id, Input::Tokens)),
                "attention_mask" => Some((*id, Input::Mask)),
                "token_type_ids" => Some((*id, Input::Types)),
                _ => None,
            })
            .collect();
        let (Some(inputs), Some(output)) = (inputs, graph.output_ids().first().copied()) else {
            return Err(Fault::new("the embedding model has other inputs and outputs"));
        };
        Ok(Self { graph, inputs, output, tokeniser })
    }

    /// The tokens of each text, up to so many of them.
    pub(super) fn tokenise(&self, texts: &[String], most: usize) -> Result<Vec<Vec<i32>>, Fault> {
        texts
            .iter()
            .map(|text| {
                let tokens = self.tokeniser.encode_fast(text.as_str(), true).map_err(Fault::new)?;
                let mut ids = tokens.get_ids().to_vec();
                if let Some(&end) = ids.last().filter(|_| ids.len() > most) {
                    ids.truncate(most - 1);
                    ids.push(end);
                }
                ids.into_iter().map(|id| Ok(i32::try_from(id)?)).collect()
            })
            .collect()
    }

    /// The vectors of a batch of tokenised texts, in their order.
    pub(super) fn embed(
        &self,
        batch: &[Vec<i32>],
        pool: Arc<ThreadPool>,
    ) -> Result<Vec<Vector>, Fault> {
        let longest = batch.iter().map(Vec::len).max().unwrap_or_default();
        let mut tokens = vec![0; longest * batch.len()];
        let mut mask = vec![0; longest * batch.len()];
        for (row, text) in batch.iter().enumerate() {
            let place = row * longest..row * longest + text.len();
            tokens[place.clone()].copy_from_slice(text);
            mask[place].fill(1);
        }
        let shape = [batch.len(), longest];
        let inputs = self.inputs.iter().map(|(id, input)| {
            let data = match input {
                Input::Tokens => tokens.clone(),
                Input::Mask => mask.clone(),
                Input::Types => vec![0; tokens.len()],
            };
            (*id, Value::from(NdTensor::<i32, 2>::from_data(shape, data)).into())
        });
        let options = RunOptions::default().with_thread_pool(Some(pool));
        let [output] = self.graph.run_n(inputs.collect(), [self.output], Some(options))?;
        let (shape, numbers) = output.into_shape_vec::<f32, 2>()?;
        if shape != [batch.len(), DIMENSIONS] {
            return Err(Fault::new("the embedding model's vectors have another length"));
        }
        Ok(numbers.chunks_exact(DIMENSIONS).map(<[f32]>::to_vec).collect())
    }
}
