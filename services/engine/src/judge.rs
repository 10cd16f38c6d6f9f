//! Judging: what a statement is, and whether its role may run it, decided on the engine's own parse.

use std::sync::PoisonError;

use crate::access::Role;
use crate::chdb::{escape_parameter, literal};
use crate::exception::Exception;
use crate::execute::Executor;
use crate::prepare::bind;
use crate::request::{Request, may_change};
use crate::statement::{self, Kind};

/// A judged statement: the engine's own text of it, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// Judged statements remembered: a writer sends the same few again and again.
const JUDGED_MAX: usize = 256;
/// The parameter that carries a client's text to be normalised.
const TEXT_PARAMETER: &str = "mprism_statement_text";

impl Executor {
    /// Decides what `text` is and whether `role` may run it. Blocks.
    ///
    /// `bound` are the parameters that the session has, as [`Session::parameters`](crate::sessions::Session::parameters)
    /// gives them.
    pub(crate) fn judge(
        &self,
        request: &Request,
        role: Role,
        text: &str,
        bound: &[(String, String)],
    ) -> Result<Statement, Exception> {
        let known = self
            .judged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(text)
            .cloned();
        let statement = match known {
            Some(statement) => statement,
            None => self.judge_anew(request, text, bound)?,
        };
        if role == Role::Reader && !statement.kind.is_read() {
            return Err(Exception::readonly("Cannot execute query in readonly mode"));
        }
        if let Kind::Set(assignments) = &statement.kind {
            let names = || assignments.iter().map(|(name, _)| name.as_str());
            if names().any(|name| name == "readonly" || name == "dialect") {
                return Err(Exception::denied("SET readonly and SET dialect are not allowed here"));
            }
            if role == Role::Reader {
                may_change(names().filter(|name| !name.starts_with("param_")))?;
            }
        }
        Ok(statement)
    }

    fn judge_anew(&self, request: &Request, text: &str, bound: &[(String, String)]) -> Result<Statement, Exception> {
        let mut connection = self.open_one()?;
        for (name, value) in bound {
            connection.run(&format!("SET {name} = {value}"), "Null")?;
        }
        bind(&mut connection, request)?;
        let bound = literal(&escape_parameter(text));
        connection.run(&format!("SET param_{TEXT_PARAMETER} = {bound}"), "Null")?;
        let normalised = connection.text(&format!("SELECT formatQuerySingleLine({{{TEXT_PARAMETER}:String}})"))?;
        let (ast, _) = connection.run(&format!("EXPLAIN AST {normalised}"), "TSVRaw")?;
        let kind = statement::judge(&normalised, &String::from_utf8_lossy(&ast), &self.table_functions)?;
        let statement = Statement { text: normalised, kind };
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.len() >= JUDGED_MAX {
            judged.clear();
        }
        judged.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }
}
