//! `/go?id=`: whatever a person pastes, to the request it belongs to.

use crate::Web;
use crate::failure::Failure;
use crate::params::Params;
use crate::reader::Reader;
use crate::url::Href;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use hoplog_query::lang::find_id;

/// Longest text that is taken in, in characters.
const LONGEST: usize = 4_096;

pub(crate) async fn get(State(web): State<Web>, reader: Reader, params: Params) -> Response {
    match find(&web, params.get("id")).await {
        Ok(href) => Redirect::to(&href.to_string()).into_response(),
        Err(failure) => failure.response(&reader),
    }
}

/// Where the text leads: a service of that name, or a request, with the span in it.
async fn find(web: &Web, pasted: &str) -> Result<Href, Failure> {
    let pasted: String = pasted.chars().take(LONGEST).collect();
    let Some(ids) = find_id(&pasted) else {
        let known = web.answers.known().await?;
        return match known.services.iter().find(|service| **service == pasted) {
            Some(service) => Ok(Href::path(&["services", service])),
            None => Err(Failure::NoId(pasted)),
        };
    };
    match web.answers.find(&pasted).await? {
        Some(trace_id) => {
            let href = Href::path(&["requests", &trace_id.to_string()]);
            Ok(match ids.span {
                Some(span) => href.with("span", span.to_string()),
                None => href,
            })
        }
        None => {
            let id = ids
                .trace
                .map(|id| id.to_string())
                .or(ids.span.map(|id| id.to_string()));
            Err(Failure::NothingAt(id.unwrap_or(pasted)))
        }
    }
}
