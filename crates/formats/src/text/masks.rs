//! Bit masks over 64 bytes at a time: bit `i` says something about byte `i`.

/// As many bytes as one mask covers.
pub(crate) const WIDTH: usize = 64;

/// A run of bytes that one mask covers.
pub(crate) type Block = [u8; WIDTH];

/// The same with SSE2, three times as fast as with words. SAFETY, of every block here: SSE2 belongs to x86-64, and loads
/// read 16 bytes from a reference to 16 bytes.
#[cfg(target_arch = "x86_64")]
mod lanes {
    use super::Block;
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8,
        _mm_or_si128, _mm_set1_epi8,
    };

    #[inline(always)]
    fn load(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: see the module.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn all(byte: u8) -> __m128i {
        // SAFETY: see the module.
        unsafe { _mm_set1_epi8(byte as i8) }
    }

    #[inline(always)]
    fn same(a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: see the module.
        unsafe { _mm_cmpeq_epi8(a, b) }
    }

    #[inline(always)]
    fn bits(mask: __m128i) -> u16 {
        // SAFETY: see the module.
        unsafe { _mm_movemask_epi8(mask) as u16 }
    }

    #[inline(always)]
    fn gather(block: &Block, mask: impl Fn(__m128i) -> __m128i) -> u64 {
        let lanes = block.as_chunks::<16>().0;
        let bits = |index: usize| u64::from(bits(mask(load(&lanes[index])))) << (16 * index);
        bits(0) | bits(1) | bits(2) | bits(3)
    }

    #[inline(always)]
    pub(super) fn equal(block: &Block, byte: u8) -> u64 {
        let wanted = all(byte);
        gather(block, |bytes| same(bytes, wanted))
    }

    #[inline(always)]
    pub(super) fn at_least(block: &Block, byte: u8) -> u64 {
        let least = all(byte);
        // SAFETY: see the module.
        gather(block, |bytes| {
            same(unsafe { _mm_max_epu8(bytes, least) }, bytes)
        })
    }

    #[inline(always)]
    pub(super) fn plain_text(text: &[u8]) -> usize {
        let (lanes, rest) = text.as_chunks::<16>();
        for (i, lane) in lanes.iter().enumerate() {
            let bytes = load(lane);
            // SAFETY: see the module.
            let ends = unsafe {
                let controls = same(_mm_min_epu8(bytes, all(0x1f)), bytes);
                let marks = _mm_or_si128(same(bytes, all(b'"')), same(bytes, all(b'\\')));
                bits(_mm_or_si128(controls, marks))
            };
            if ends != 0 {
                return i * 16 + ends.trailing_zeros() as usize;
            }
        }
        lanes.len() * 16 + super::plain_text_slowly(rest)
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    use super::Block;

    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const ONES: u64 = 0x0101_0101_0101_0101;

    /// Gathers the top bits of eight bytes into eight bits.
    fn top_bits(word: u64) -> u64 {
        ((word >> 7) & ONES).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }

    fn gather(block: &Block, top: impl Fn(u64) -> u64) -> u64 {
        let words = block.as_chunks::<8>().0.iter().enumerate();
        words.fold(0, |mask, (i, word)| {
            mask | top_bits(top(u64::from_le_bytes(*word))) << (i * 8)
        })
    }

    pub(super) fn equal(block: &Block, byte: u8) -> u64 {
        let pattern = ONES * u64::from(byte);
        gather(block, |word| {
            let differs = word ^ pattern;
            !(((differs & LOW) + LOW) | differs)
        })
    }

    pub(super) fn plain_text(text: &[u8]) -> usize {
        super::plain_text_slowly(text)
    }

    /// Only for `byte` in 1..=128.
    pub(super) fn at_least(block: &Block, byte: u8) -> u64 {
        let lift = ONES * u64::from(0x80 - byte);
        gather(block, |word| ((word & LOW) + lift) | word)
    }
}

/// The definition of [`plain_text`].
fn plain_text_slowly(text: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    text.iter().position(ends).unwrap_or(text.len())
}

#[cfg(target_arch = "x86_64")]
use lanes as kernel;
#[cfg(not(target_arch = "x86_64"))]
use words as kernel;

/// Which bytes are `byte`.
#[inline(always)]
pub(crate) fn equal(block: &Block, byte: u8) -> u64 {
    kernel::equal(block, byte)
}

/// Which bytes are above the space: neither blank nor a control character.
#[inline(always)]
pub(crate) fn visible(block: &Block) -> u64 {
    kernel::at_least(block, 0x21)
}

/// How many bytes at the start can stand in a JSON string as they are: no quote, no backslash, no control character.
#[inline(always)]
pub(crate) fn plain_text(text: &[u8]) -> usize {
    kernel::plain_text(text)
}

/// Bit `i` becomes the parity of the bits up to and including `i`: from quotes to what they enclose.
#[inline(always)]
pub(crate) fn parity(mut mask: u64) -> u64 {
    mask ^= mask << 1;
    mask ^= mask << 2;
    mask ^= mask << 4;
    mask ^= mask << 8;
    mask ^= mask << 16;
    mask ^ mask << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(block: &Block, is: impl Fn(u8) -> bool) -> u64 {
        (0..WIDTH).fold(0, |mask, i| mask | u64::from(is(block[i])) << i)
    }

    proptest! {
        #[test]
        fn masks_are_what_a_loop_says(bytes in prop::collection::vec(any::<u8>(), WIDTH), byte in any::<u8>(), mask in any::<u64>()) {
            let mut block = [0; WIDTH];
            block.copy_from_slice(&bytes);
            prop_assert_eq!(equal(&block, byte), slow(&block, |b| b == byte));
            prop_assert_eq!(words::equal(&block, byte), slow(&block, |b| b == byte));
            for from in 0..WIDTH {
                let expected = plain_text_slowly(&block[from..]);
                prop_assert_eq!(plain_text(&block[from..]), expected);
                prop_assert_eq!(words::plain_text(&block[from..]), expected);
            }
            prop_assert_eq!(visible(&block), slow(&block, |b| b > b' '));
            prop_assert_eq!(words::at_least(&block, 0x21), slow(&block, |b| b > b' '));
            let odd = (0..64).fold(0, |all, i| all | u64::from((mask << (63 - i)).count_ones() % 2) << i);
            prop_assert_eq!(parity(mask), odd);
        }
    }
}
