//! A query's terms one by one, each with the query that is left without it.

use super::ast::Ast;

/// One term at the top of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// The term.
    pub part: Ast,
    /// Its canonical form.
    pub text: String,
    /// The canonical form of the rest; empty if there is none.
    pub without: String,
}

/// The parts that are joined by AND at the top of `ast`, in order.
pub fn chips(ast: &Ast) -> Vec<Chip> {
    let parts = match ast {
        Ast::And(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let others = |n: usize| {
        let rest = parts.iter().enumerate().filter(|(other, _)| *other != n);
        Ast::all(rest.map(|(_, part)| part.clone()).collect())
    };
    let chip = |(n, part): (usize, &Ast)| Chip {
        part: part.clone(),
        text: part.to_string(),
        without: others(n).map(|rest| rest.to_string()).unwrap_or_default(),
    };
    parts.iter().enumerate().map(chip).collect()
}
