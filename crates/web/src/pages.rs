//! One file per page: its parameters, its view, how the view is made, its handler.

pub(crate) mod error;
pub(crate) mod go;
pub(crate) mod home;
pub(crate) mod interface;
pub(crate) mod pipeline;
pub(crate) mod queries;
pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod start;
