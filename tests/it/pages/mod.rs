//! The pages behind sign-in: who sees what, what each form does, and that nothing of one tenant
//! shows in another.

mod connection;
mod documents;
mod grants;
mod quality;
mod services;
mod settings;
mod stage;
mod stores;
mod templates;
mod usage;
mod versions;
mod visits;

pub(crate) use documents::upload;
