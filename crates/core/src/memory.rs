//! Bytes that are somewhere: a gauge counts them, a charge holds some of them until it is dropped.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes that charges hold, remembers the peak, and wakes whoever waits for room.
#[derive(Default)]
pub struct Gauge {
    bytes: AtomicUsize,
    peak: AtomicUsize,
    low_water: AtomicUsize,
    wake: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Gauge {
    /// An empty gauge that wakes nobody.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Calls `wake` each time the bytes fall from above `low_water` to it or below, and when they reach 0.
    pub fn wake_at(&self, low_water: usize, wake: impl Fn() + Send + 'static) {
        self.low_water.store(low_water, Ordering::Relaxed);
        if let Ok(mut slot) = self.wake.lock() {
            *slot = Some(Box::new(wake));
        }
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The most bytes ever held at once.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Holds `bytes` until the charge is dropped.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        let now = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
        Charge {
            gauge: Arc::clone(self),
            bytes,
        }
    }

    fn release(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        let after = before - bytes;
        let low = self.low_water.load(Ordering::Relaxed);
        let room = (before > low && after <= low) || (after == 0 && bytes > 0);
        if !room {
            return;
        }
        let slot = self.wake.lock();
        if let Ok(Some(wake)) = slot.as_deref() {
            wake();
        }
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gauge({} bytes, peak {})", self.bytes(), self.peak())
    }
}

/// Some bytes on a gauge; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    gauge: Arc<Gauge>,
    bytes: usize,
}

impl Charge {
    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Corrects the bytes held, up or down.
    pub fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let now = self.gauge.bytes.fetch_add(more, Ordering::Relaxed) + more;
            self.gauge.peak.fetch_max(now, Ordering::Relaxed);
        } else {
            self.gauge.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.gauge.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_are_counted_and_given_back() {
        let gauge = Gauge::new();
        let a = gauge.charge(10);
        let mut b = gauge.charge(5);
        b.resize(7);
        assert_eq!(gauge.bytes(), 17);
        drop(a);
        assert_eq!((gauge.bytes(), gauge.peak()), (7, 17));
    }

    #[test]
    fn wakes_at_low_water_and_at_zero() {
        let woken = Arc::new(AtomicUsize::new(0));
        let gauge = Gauge::new();
        let count = Arc::clone(&woken);
        gauge.wake_at(10, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let a = gauge.charge(8);
        let b = gauge.charge(8);
        drop(a);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        drop(b);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
