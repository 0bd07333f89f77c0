//! Standard input that can be looked at before it is read: what was seen is kept and comes again.

use std::io::{self, Read, Stdin};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

static STDIN: LazyLock<Mutex<Replay<Stdin>>> =
    LazyLock::new(|| Mutex::new(Replay::new(io::stdin())));

fn shared() -> MutexGuard<'static, Replay<Stdin>> {
    STDIN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads from the start of what is not consumed yet, and leaves all of it for the next reader.
pub fn peek() -> impl Read + Send {
    Peek { at: 0 }
}

/// Reads and consumes.
pub fn stream() -> impl Read + Send {
    Stream
}

struct Peek {
    at: usize,
}

impl Read for Peek {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = shared().peek(self.at, out)?;
        self.at += read;
        Ok(read)
    }
}

struct Stream;

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        shared().take(out)
    }
}

/// The most of what was seen that comes again at once: less than a pipe holds, so that nobody takes it for a pipe that is
/// full and waits for what is behind it.
const REPLAYED: usize = 32 << 10;

/// A reader whose head can be read again.
struct Replay<R> {
    inner: R,
    head: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<R: Read> Replay<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            head: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    /// Bytes from `at` of what is not consumed.
    fn peek(&mut self, at: usize, out: &mut [u8]) -> io::Result<usize> {
        let from = self.taken + at;
        if from >= self.head.len() {
            let read = self.fresh(out)?;
            self.head.extend_from_slice(&out[..read]);
            return Ok(read);
        }
        Ok(copy(&self.head[from..], out))
    }

    fn take(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.head.len() {
            (self.head, self.taken) = (Vec::new(), 0);
            return self.fresh(out);
        }
        let most = out.len().min(REPLAYED);
        let read = copy(&self.head[self.taken..], &mut out[..most]);
        self.taken += read;
        Ok(read)
    }

    /// A terminal would ask for more after its end: once ended stays ended.
    fn fresh(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(out)?;
        self.ended = read == 0;
        Ok(read)
    }
}

fn copy(from: &[u8], out: &mut [u8]) -> usize {
    let length = from.len().min(out.len());
    out[..length].copy_from_slice(&from[..length]);
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peeked(replay: &mut Replay<&[u8]>, limit: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        let mut out = [0; 3];
        while seen.len() < limit {
            match replay.peek(seen.len(), &mut out).expect("reads") {
                0 => break,
                read => seen.extend_from_slice(&out[..read]),
            }
        }
        seen
    }

    #[test]
    fn what_was_seen_comes_again() {
        let mut replay = Replay::new(&b"0123456789"[..]);
        assert_eq!(peeked(&mut replay, 4), b"012345");
        assert_eq!(peeked(&mut replay, 7), b"012345678");
        let mut out = [0; 4];
        assert_eq!(replay.take(&mut out).expect("reads"), 4);
        assert_eq!(peeked(&mut replay, 2), b"456");
        let mut rest = Vec::new();
        loop {
            match replay.take(&mut out).expect("reads") {
                0 => break,
                read => rest.extend_from_slice(&out[..read]),
            }
        }
        assert_eq!(rest, b"456789");
        assert_eq!(peeked(&mut replay, 1), b"");
    }
}
