//! The OpenAI vector store API, as far as we use it.
