//! Maps written as text, such as `label_app:x|label_tier:y`, as canonical JSON objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::DataType;
use datafusion_expr::ScalarUDF;

use super::json::quote;
use super::text::{Given, Listed};

/// The functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let listed = Listed {
        name: "map_from_pairs",
        signature: "map_from_pairs(text, pair_separator, key_separator)",
        summary: "The pairs in a text such as 'app:x|tier:y' as a canonical JSON object of texts; the last of equal keys wins, \
                  a pair without its separator fails the row.".into(),
        arguments: (3, 3),
        output: DataType::Utf8,
        run: object,
    };
    vec![listed.function()]
}

fn object(args: &[Option<&str>]) -> Result<Given, String> {
    let [Some(text), Some(between_pairs), Some(behind_key)] = args else {
        return Ok(Given::Nothing);
    };
    if between_pairs.is_empty() || behind_key.is_empty() {
        return Err("a separator is empty".into());
    }
    let mut pairs = BTreeMap::new();
    for pair in text.split(between_pairs).filter(|pair| !pair.is_empty()) {
        match pair.split_once(behind_key) {
            Some((key, value)) => pairs.insert(key, value),
            None => {
                let pair: String = pair.chars().take(40).collect();
                return Err(format!("`{pair}` has no `{behind_key}`"));
            }
        };
    }
    let mut out = String::from("{");
    for (i, (key, value)) in pairs.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        quote(key, &mut out);
        out.push(':');
        quote(value, &mut out);
    }
    out.push('}');
    Ok(Given::Text(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_objects() {
        let made = |text| object(&[Some(text), Some("|"), Some(":")]);
        for (text, json) in [
            (
                "label_tier:y|label_app:x",
                r#"{"label_app":"x","label_tier":"y"}"#,
            ),
            ("a:1|a:2|", r#"{"a":"2"}"#),
            ("a:b:c", r#"{"a":"b:c"}"#),
            ("", "{}"),
        ] {
            assert_eq!(made(text), Ok(Given::Text(json.into())), "{text}");
        }
        assert_eq!(made("a"), Err("`a` has no `:`".into()));
    }
}
