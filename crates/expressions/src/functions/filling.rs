//! Texts made longer: `lpad`, `rpad`, `repeat`. A value of more than 1 MiB fails its row, since memory is bounded.

use std::sync::Arc;

use arrow_schema::DataType;
use datafusion_expr::ScalarUDF;

use super::text::{Given, Listed};

/// The longest value that these functions make, in bytes.
const LONGEST: usize = 1 << 20;

/// The functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let list = [
        Listed {
            name: "lpad",
            signature: "lpad(text, length[, fill])",
            summary: "The text with fill characters (spaces) in front until it has so many characters; a longer one is cut.".into(),
            arguments: (2, 3),
            output: DataType::Utf8,
            run: |args| padded(args, |text, fill| format!("{fill}{text}")),
        },
        Listed {
            name: "rpad",
            signature: "rpad(text, length[, fill])",
            summary: "The text with fill characters (spaces) behind until it has so many characters; a longer one is cut.".into(),
            arguments: (2, 3),
            output: DataType::Utf8,
            run: |args| padded(args, |text, fill| format!("{text}{fill}")),
        },
        Listed {
            name: "repeat",
            signature: "repeat(text, times)",
            summary: "The text so many times in a row.".into(),
            arguments: (2, 2),
            output: DataType::Utf8,
            run: |args| {
                let [Some(text), Some(times)] = args else {
                    return Ok(Given::Nothing);
                };
                let times = count(times)?;
                fits(text.len().saturating_mul(times))?;
                Ok(Given::Text(text.repeat(times)))
            },
        },
    ];
    list.into_iter().map(Listed::function).collect()
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse::<i128>() {
        Ok(n) if n <= 0 => Ok(0),
        Ok(n) => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
        Err(_) => Err(format!("`{text}` is not a whole number")),
    }
}

fn fits(bytes: usize) -> Result<(), String> {
    match bytes <= LONGEST {
        true => Ok(()),
        false => Err("the text would be longer than 1 MiB".into()),
    }
}

fn padded(args: &[Option<&str>], join: fn(&str, &str) -> String) -> Result<Given, String> {
    let (Some(text), Some(length)) = (args[0], args[1]) else {
        return Ok(Given::Nothing);
    };
    let Some(fill) = args.get(2).copied().unwrap_or(Some(" ")) else {
        return Ok(Given::Nothing);
    };
    let length = count(length)?;
    if let Some((cut, _)) = text.char_indices().nth(length) {
        return Ok(Given::Text(text[..cut].to_string()));
    }
    let missing = length - text.chars().count();
    if fill.is_empty() {
        return Ok(Given::Text(text.to_string()));
    }
    // A character has at most four bytes.
    fits(missing.saturating_mul(4))?;
    let fill: String = fill.chars().cycle().take(missing).collect();
    Ok(Given::Text(join(text, &fill)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_and_cut() {
        let left = |text, length, fill| {
            padded(&[Some(text), Some(length), Some(fill)], |t, f| {
                format!("{f}{t}")
            })
        };
        for (text, length, fill, made) in [
            ("7", "3", "0", "007"),
            ("é", "4", "ab", "abaé"),
            ("long", "2", " ", "lo"),
            ("x", "-1", " ", ""),
            ("x", "9", "", "x"),
        ] {
            assert_eq!(
                left(text, length, fill),
                Ok(Given::Text(made.into())),
                "{text}"
            );
        }
        assert!(left("x", "999999999999", " ").is_err());
        assert!(left("x", "soon", " ").is_err());
    }
}
