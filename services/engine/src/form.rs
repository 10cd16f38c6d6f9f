//! Bodies of `multipart/form-data`: the form in which clients send a statement together with its parameters.

use crate::exception::Exception;

/// Returns the boundary if a Content-Type says that the body is a form.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    let value = value.trim_matches('"');
    (!value.is_empty() && value.len() <= 70).then_some(value)
}

/// Returns the fields of a form as names and values, in their order.
///
/// # Errors
/// Where the form is cut off, or a field has no name.
pub(crate) fn fields(body: &str, boundary: &str) -> Result<Vec<(String, String)>, Exception> {
    let broken = || Exception::new(36, "The form in the body is not understood", "BAD_ARGUMENTS");
    let delimiter = format!("--{boundary}");
    let mut rest = body.strip_prefix(&delimiter).ok_or_else(broken)?;
    let inner = format!("\r\n{delimiter}");
    let mut fields = Vec::new();
    while let Some(part) = rest.strip_prefix("\r\n") {
        let (part, after) = part.split_once(&inner).ok_or_else(broken)?;
        let (head, value) = part.split_once("\r\n\r\n").ok_or_else(broken)?;
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition").then_some(value)
        });
        if disposition.is_some_and(|text| text.split(';').any(|part| part.trim().starts_with("filename"))) {
            return Err(external_data());
        }
        let name = disposition.and_then(|text| {
            let mut parts = text.split(';').map(str::trim);
            parts.find_map(|part| part.strip_prefix("name=\"")?.strip_suffix('"'))
        });
        fields.push((name.ok_or_else(broken)?.to_owned(), value.to_owned()));
        rest = after;
    }
    if rest.starts_with("--") {
        Ok(fields)
    } else {
        Err(broken())
    }
}

/// What is said to clients that send a temporary table along with a statement.
pub(crate) fn external_data() -> Exception {
    let message = "External data is not supported: insert it into a table, or into a temporary table of a session";
    Exception::new(48, message, "NOT_IMPLEMENTED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_its_fields() {
        assert_eq!(boundary("multipart/form-data; boundary=\"x y\""), Some("x y"));
        assert_eq!(boundary("text/plain; boundary=x"), None);
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = part("query", "SELECT {a:String}") + &part("param_a", "x\r\n\r\ny") + "--b--\r\n";
        let expected = [("query", "SELECT {a:String}"), ("param_a", "x\r\n\r\ny")];
        let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        assert_eq!(fields(&body, "b"), Ok(expected));
        let file = "--b\r\nContent-Disposition: form-data; name=\"t\"; filename=\"t.csv\"\r\n\r\n1\r\n--b--\r\n";
        assert_eq!(fields(file, "b").expect_err("refused").code, 48);
        for cut in [0, 10, body.len() - 6] {
            assert!(fields(&body[..cut], "b").is_err(), "cut at {cut}");
        }
    }
}
