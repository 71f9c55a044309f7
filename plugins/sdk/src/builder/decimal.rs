//! Decimal numbers. Nearly all of a database fit into an integer of 128 bits and a scale, whose arithmetic takes a tenth of the
//! time of numbers of any size; those that do not are of any size, and nobody sees the difference.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};
use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The largest scale of a number that is kept as an integer: ten to the power of it is one, too.
const MAX_SCALE: u32 = 38;

/// A decimal number of any size, exact, serialised as a JSON number. It adds, subtracts and multiplies without rounding; a division
/// has to say how it rounds: see [`Decimal::number`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal(Number);

/// A number in the one form that it has: without superfluous zeros, and as an integer if it fits.
#[derive(Debug, Clone)]
enum Number {
    /// `digits / 10^scale`.
    Small { digits: i128, scale: u32 },
    /// What does not fit.
    Large(Box<BigDecimal>),
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Small { digits, scale }, Self::Small { digits: other, scale: of_other }) => {
                (digits, scale) == (other, of_other)
            }
            (Self::Large(number), Self::Large(other)) => number == other,
            _ => false,
        }
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Small { digits, scale } => (digits, scale).hash(state),
            Self::Large(number) => number.hash(state),
        }
    }
}

impl Default for Decimal {
    fn default() -> Self {
        Self(Number::Small { digits: 0, scale: 0 })
    }
}

impl Decimal {
    /// The number, for everything else that arithmetic there is.
    #[must_use]
    pub fn number(&self) -> BigDecimal {
        match &self.0 {
            Number::Small { digits, scale } => BigDecimal::new(BigInt::from(*digits), i64::from(*scale)),
            Number::Large(number) => (**number).clone(),
        }
    }

    /// `digits / 10^scale`, without superfluous zeros.
    fn small(mut digits: i128, mut scale: u32) -> Self {
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Self(Number::Small { digits, scale })
    }

    fn large(number: &BigDecimal) -> Self {
        let number = number.normalized();
        let (digits, scale) = number.as_bigint_and_exponent();
        let digits = i128::try_from(digits).ok();
        let small = match u32::try_from(scale) {
            Ok(scale) if scale <= MAX_SCALE => digits.map(|digits| Self::small(digits, scale)),
            Ok(_) => None,
            // Zeros in front of the point.
            Err(_) => {
                let power = u32::try_from(scale.unsigned_abs()).ok().and_then(|zeros| 10_i128.checked_pow(zeros));
                digits
                    .zip(power)
                    .and_then(|(digits, power)| digits.checked_mul(power))
                    .map(|whole| Self::small(whole, 0))
            }
        };
        small.unwrap_or_else(|| Self(Number::Large(Box::new(number))))
    }

    /// Both as integers of one scale, where they fit.
    fn aligned(&self, other: &Self) -> Option<(i128, i128, u32)> {
        let (Number::Small { digits: one, scale: of_one }, Number::Small { digits: two, scale: of_two }) =
            (&self.0, &other.0)
        else {
            return None;
        };
        let scale = *of_one.max(of_two);
        let raised = |digits: i128, from: u32| digits.checked_mul(10_i128.checked_pow(scale - from)?);
        Some((raised(*one, *of_one)?, raised(*two, *of_two)?, scale))
    }

    fn plus(&self, other: &Self) -> Self {
        let fit = self.aligned(other).and_then(|(one, two, scale)| Some(Self::small(one.checked_add(two)?, scale)));
        fit.unwrap_or_else(|| Self::large(&(self.number() + other.number())))
    }

    fn minus(&self, other: &Self) -> Self {
        let fit = self.aligned(other).and_then(|(one, two, scale)| Some(Self::small(one.checked_sub(two)?, scale)));
        fit.unwrap_or_else(|| Self::large(&(self.number() - other.number())))
    }

    fn times(&self, other: &Self) -> Self {
        let fit = match (&self.0, &other.0) {
            (Number::Small { digits: one, scale: of_one }, Number::Small { digits: two, scale: of_two })
                if of_one + of_two <= MAX_SCALE =>
            {
                one.checked_mul(*two).map(|digits| Self::small(digits, of_one + of_two))
            }
            _ => None,
        };
        fit.unwrap_or_else(|| Self::large(&(self.number() * other.number())))
    }

    /// Without an exponent and without superfluous zeros.
    fn text(&self) -> String {
        match &self.0 {
            Number::Small { digits, scale: 0 } => digits.to_string(),
            Number::Small { digits, scale } => {
                let width = *scale as usize;
                // One zero at least stands in front of the point.
                let mut text = format!("{:0>1$}", digits.unsigned_abs(), width + 1);
                text.insert(text.len() - width, '.');
                if *digits < 0 {
                    text.insert(0, '-');
                }
                text
            }
            Number::Large(number) => number.to_plain_string(),
        }
    }

    /// Digits with a point or without one, as databases write them; `None`: it is something else, or too long.
    fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= MAX_SCALE)?;
        if whole.is_empty() || whole.len() + fraction.len() > MAX_SCALE as usize {
            return None;
        }
        let mut digits: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            digits = digits * 10 + i128::from(digit);
        }
        Some(Self::small(if unsigned.len() < text.len() { -digits } else { digits }, scale))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.aligned(other) {
            Some((one, two, _)) => one.cmp(&two),
            None => self.number().cmp(&other.number()),
        }
    }
}

impl From<BigDecimal> for Decimal {
    fn from(number: BigDecimal) -> Self {
        Self::large(&number)
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self::small(number.into(), 0)
    }
}

impl FromStr for Decimal {
    type Err = bigdecimal::ParseBigDecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Self::read(text) {
            Some(number) => Ok(number),
            None => Ok(Self::large(&text.parse()?)),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.text()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

macro_rules! arithmetic {
    ($($trait:ident $function:ident $made:ident),+) => { $(
        impl $trait for Decimal {
            type Output = Self;
            fn $function(self, other: Self) -> Self { self.$made(&other) }
        }
        impl $trait<&Decimal> for &Decimal {
            type Output = Decimal;
            fn $function(self, other: &Decimal) -> Decimal { self.$made(other) }
        }
    )+ };
}

arithmetic!(Add add plus, Sub sub minus, Mul mul times);

macro_rules! times {
    ($($type:ty),+) => { $(
        impl Mul<$type> for &Decimal {
            type Output = Decimal;
            fn mul(self, times: $type) -> Decimal { self.times(&Decimal::from(i64::from(times))) }
        }
    )+ };
}

times!(i16, i32, i64);

impl Sum for Decimal {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::default(), |sum, number| sum + number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Numbers at and beyond what an integer holds, and what arithmetic between each two of them comes to, as numbers of any size
    /// say it.
    #[test]
    fn numbers_that_fit_and_that_do_not_are_the_same_numbers() {
        let most = i128::MAX.to_string();
        let mut texts: Vec<String> =
            ["0", "-0.0", "1", "-1", "1.50", "0.000001", "-12345.678", "100", "1e3", "1E-45", "9e50"]
                .map(str::to_owned)
                .to_vec();
        texts.extend([most.clone(), format!("-{most}"), format!("{most}0"), format!("0.{most}"), format!("{most}.5")]);
        for one in &texts {
            let (read, number): (Decimal, BigDecimal) = (decimal(one), one.parse().unwrap_or_default());
            assert_eq!(read.number(), number, "{one}");
            assert_eq!(read.text(), number.normalized().to_plain_string(), "{one}");
            for two in &texts {
                let (of_two, number_of_two): (Decimal, BigDecimal) = (decimal(two), two.parse().unwrap_or_default());
                for (what, made, wanted) in [
                    ("+", &read + &of_two, &number + &number_of_two),
                    ("-", &read - &of_two, &number - &number_of_two),
                    ("*", &read * &of_two, &number * &number_of_two),
                ] {
                    assert_eq!(made.number(), wanted, "{one} {what} {two}");
                    assert_eq!(made, Decimal::from(wanted), "{one} {what} {two}: one form a number");
                }
                assert_eq!(read.cmp(&of_two), number.cmp(&number_of_two), "{one} {two}");
                assert_eq!(read == of_two, number == number_of_two, "{one} {two}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "1.2.3", "1,5", "abc", "--1", "NaN", "Infinity"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
