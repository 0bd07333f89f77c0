//! Adding rows to a file that exists: its bytes are copied, so that the whole is replaced at once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use arrow_schema::SchemaRef;
use dataflow_core::{Error, Result};
use dataflow_formats::write::{Compression, Csv, Format, decompressed, written_schema};

use super::target::Target;

/// Copies what is there, and gives the format for what comes behind it: without a header, if there is one already.
pub(super) fn continued(format: &Format, target: &Target, schema: &SchemaRef) -> Result<Format> {
    let Some(old) = target.continues() else {
        return Ok(format.clone());
    };
    let failed = |e: io::Error| Error::io("read", target.path(), &e);
    let mut file = File::open(old).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(format.clone());
    }
    if let Format::Csv(csv) = format
        && csv.header
    {
        let file = File::open(old).map_err(failed)?;
        check_header(csv, format.compression(), file, target.path(), schema)?;
    }
    let mut out = target.output()?;
    let written = |e: io::Error| Error::io("write", target.path(), &e);
    io::copy(&mut file, &mut out).map_err(written)?;
    if format.compression() == Compression::None && !ends_line(&mut file).map_err(failed)? {
        out.write_all(b"\n").map_err(written)?;
    }
    Ok(match format {
        Format::Csv(csv) => Format::Csv(Csv {
            header: false,
            ..csv.clone()
        }),
        other => other.clone(),
    })
}

fn ends_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(&last == b"\n")
}

fn check_header(
    csv: &Csv,
    compression: Compression,
    file: File,
    path: &str,
    schema: &SchemaRef,
) -> Result<()> {
    let expected = csv.header_line(&written_schema(schema));
    let mut found = vec![0; expected.len() + 5];
    let read =
        first_bytes(compression, file, &mut found).map_err(|e| Error::io("read", path, &e))?;
    let found = &found[..read];
    let found = found.strip_prefix(b"\xef\xbb\xbf").unwrap_or(found);
    let same = found.strip_prefix(expected.as_slice()).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    });
    if same {
        return Ok(());
    }
    let line = found.split(|&b| b == b'\n').next().unwrap_or_default();
    Err(Error::data(format!(
        "rows cannot be added: the file begins with `{}`, and the rows have the columns `{}`",
        String::from_utf8_lossy(line).trim_end(),
        String::from_utf8_lossy(&expected)
    ))
    .file(path)
    .help("write another file, or make the columns the same with a `select`"))
}

fn first_bytes(compression: Compression, file: File, into: &mut [u8]) -> io::Result<usize> {
    let mut input = decompressed(file, compression)?;
    let mut filled = 0;
    while filled < into.len() {
        match input.read(&mut into[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
