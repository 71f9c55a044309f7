//! Values of columns that have no type of their own in Rust. Each is serialised as the schema language writes it.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};
use std::str::FromStr;

use bigdecimal::BigDecimal;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Failed;

macro_rules! texts {
    ($($name:ident, $doc:literal);+ $(;)?) => { $(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub(super) String);

        impl $name {
            /// As the source writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    )+ };
}

texts! {
    Uuid, "A UUID: 36 characters, lower case, with hyphens.";
    Date, "A calendar date, `YYYY-MM-DD`.";
    Time, "A time of day, `HH:MM:SS[.ffffff][±HH:MM]`.";
    Timestamp, "A moment, `YYYY-MM-DDTHH:MM:SS[.ffffff][+00:00]`; without an offset where the column has no time zone.";
}

/// A decimal number of any size, exact, serialised as a JSON number. It adds, subtracts and multiplies without rounding; a division
/// has to say how it rounds: see [`Decimal::number`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(BigDecimal);

impl Decimal {
    /// The number, for everything else that arithmetic there is.
    #[must_use]
    pub fn number(&self) -> &BigDecimal {
        &self.0
    }

    /// Without an exponent and without superfluous zeros.
    fn text(&self) -> String {
        self.0.normalized().to_plain_string()
    }
}

impl From<BigDecimal> for Decimal {
    fn from(number: BigDecimal) -> Self {
        Self(number)
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self(number.into())
    }
}

impl FromStr for Decimal {
    type Err = bigdecimal::ParseBigDecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
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
    ($($trait:ident $function:ident $sign:tt),+) => { $(
        impl $trait for Decimal {
            type Output = Self;
            fn $function(self, other: Self) -> Self { Self(self.0 $sign other.0) }
        }
        impl $trait<&Decimal> for &Decimal {
            type Output = Decimal;
            fn $function(self, other: &Decimal) -> Decimal { Decimal(&self.0 $sign &other.0) }
        }
    )+ };
}

arithmetic!(Add add +, Sub sub -, Mul mul *);

macro_rules! times {
    ($($type:ty),+) => { $(
        impl Mul<$type> for &Decimal {
            type Output = Decimal;
            fn mul(self, times: $type) -> Decimal { Decimal(&self.0 * BigDecimal::from(times)) }
        }
    )+ };
}

times!(i16, i32, i64);

impl Sum for Decimal {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::default(), |sum, number| sum + number)
    }
}

/// Bytes, serialised as base64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

/// A JSON value, passed on as it is; columns with arrays or composites are JSON too.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Json(pub(super) Box<RawValue>);

impl Json {
    /// Reads it into a type.
    ///
    /// # Errors
    ///
    /// The class `build`: what does not fit, and where.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failed> {
        Ok(serde_json::from_str(self.0.get())?)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl FromStr for Json {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RawValue::from_string(text.to_owned()).map(Self)
    }
}
