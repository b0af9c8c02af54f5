//! Numbers as big-endian bytes: what forging needs of arithmetic, and nothing more.

/// `a - b`, in the length of `a`; `a` is the larger one.
pub(super) fn sub(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = a.to_vec();
    let mut borrow = false;
    for (at, digit) in out.iter_mut().rev().enumerate() {
        let other = b.len().checked_sub(at + 1).map_or(0, |index| b[index]);
        let (first, under) = digit.overflowing_sub(other);
        let (second, again) = first.overflowing_sub(u8::from(borrow));
        (*digit, borrow) = (second, under || again);
    }
    assert!(!borrow, "a is the larger one");
    out
}

/// `a + b`, in the length of `a`, where it fits.
pub(super) fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = a.to_vec();
    let mut carry = 0_u16;
    for (at, digit) in out.iter_mut().rev().enumerate() {
        let other = b.len().checked_sub(at + 1).map_or(0, |index| b[index]);
        let sum = u16::from(*digit) + u16::from(other) + carry;
        [_, *digit] = sum.to_be_bytes();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0, "the sum fits");
    out
}

/// `base ^ exponent mod modulus` for an odd modulus, by Montgomery's multiplication.
pub(super) fn pow_mod(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let m = limbs(modulus);
    let inverse = (0..6).fold(1_u64, |x, _| x.wrapping_mul(2_u64.wrapping_sub(m[0].wrapping_mul(x))));
    let field = Field { m, inverse };
    // R mod m and R^2 mod m, by doubling 1 as often as it takes.
    let mut one = vec![0; field.m.len()];
    one[0] = 1;
    let bits = 64 * field.m.len();
    (0..bits).for_each(|_| field.double(&mut one));
    let mut square = one.clone();
    (0..bits).for_each(|_| field.double(&mut square));
    let base = field.times(&limbs(base), &square);
    let mut power = one;
    for bit in exponent
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        power = field.times(&power, &power);
        if bit == 1 {
            power = field.times(&power, &base);
        }
    }
    let mut plain_one = vec![0; field.m.len()];
    plain_one[0] = 1;
    let out = field.times(&power, &plain_one);
    out.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
}

struct Field {
    /// The least significant limb first.
    m: Vec<u64>,
    /// `m^-1 mod 2^64`
    inverse: u64,
}

impl Field {
    fn double(&self, a: &mut [u64]) {
        let mut carry = 0;
        for limb in a.iter_mut() {
            let next = *limb >> 63;
            *limb = *limb << 1 | carry;
            carry = next;
        }
        self.reduce_once(a, carry);
    }

    /// `a * b / R mod m`
    fn times(&self, a: &[u64], b: &[u64]) -> Vec<u64> {
        let count = self.m.len();
        let mut t = vec![0_u64; count + 2];
        for &digit in b {
            accumulate(&mut t, a, digit);
            let factor = t[0].wrapping_mul(self.inverse).wrapping_neg();
            accumulate(&mut t, &self.m, factor);
            t.rotate_left(1);
            t[count + 1] = 0;
        }
        let carry = t[count];
        t.truncate(count);
        self.reduce_once(&mut t, carry);
        t
    }

    fn reduce_once(&self, a: &mut [u64], carry: u64) {
        let less = a.iter().rev().lt(self.m.iter().rev());
        if carry == 0 && less {
            return;
        }
        let mut borrow = false;
        for (limb, m) in a.iter_mut().zip(&self.m) {
            let (first, under) = limb.overflowing_sub(*m);
            let (second, again) = first.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (second, under || again);
        }
    }
}

/// `t += a * digit`
fn accumulate(t: &mut [u64], a: &[u64], digit: u64) {
    let mut carry = 0_u128;
    for (at, place) in t.iter_mut().enumerate() {
        let product = u128::from(a.get(at).copied().unwrap_or(0)) * u128::from(digit);
        let sum = u128::from(*place) + product + carry;
        *place = low(sum);
        carry = sum >> 64;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low(number: u128) -> u64 {
    number as u64
}

fn limbs(bytes: &[u8]) -> Vec<u64> {
    let limb = |chunk: &[u8]| chunk.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    bytes.rchunks(8).map(limb).collect()
}

#[test]
fn arithmetic_is_right() {
    assert_eq!(sub(&[1, 0, 0], &[1]), [0, 255, 255]);
    assert_eq!(add(&[0, 255, 255], &[1]), [1, 0, 0]);
    let big = |number: u128| number.to_be_bytes().to_vec();
    // Fermat: a^(p-1) = 1 mod p.
    let prime = (1_u128 << 127) - 1;
    assert_eq!(pow_mod(&big(12_345), &big(prime - 1), &big(prime)), big(1));
    assert_eq!(pow_mod(&big(3), &big(5), &big(1_000_003)), big(243));
}
