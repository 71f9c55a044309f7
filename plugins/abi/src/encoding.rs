//! How the contract's types are written as bytes: in the order of their fields, with nothing between them.
//!
//! | type of `wit/` | bytes |
//! |---|---|
//! | `bool` | 0 or 1 |
//! | `u8` … `u64`, `s32`, `s64` | little-endian, in their size |
//! | `f64` | its eight bytes, little-endian |
//! | `string` | its length in bytes as a `u32`, then UTF-8 |
//! | `list<t>` | its length as a `u32`, then each |
//! | `option<t>` | 0, or 1 and the value |
//! | `result<t, e>` | 0 and the value, or 1 and the error |
//! | `enum`, `variant` | the number of the case, from 0, as a `u8`, then its value |
//! | `record`, `tuple`, the arguments of a function | each, in order |
//! | a handle of a resource | a `u32` |
//!
//! These are the rules of Borsh (<https://borsh.io>), but that not-a-number is a number here.

use std::fmt;

/// What can be written.
pub trait Encode {
    /// Appends its bytes.
    fn encode(&self, to: &mut Vec<u8>);

    /// Appends the bytes of several.
    fn encode_all(all: &[Self], to: &mut Vec<u8>)
    where
        Self: Sized,
    {
        all.iter().for_each(|one| one.encode(to));
    }
}

/// What can be read.
pub trait Decode: Sized {
    /// Reads one.
    fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError>;

    /// Reads several.
    fn decode_all(count: usize, from: &mut Input<'_>) -> Result<Vec<Self>, DecodeError> {
        // A count is no promise: memory is taken for what is there.
        let mut all = Vec::with_capacity(count.min(from.rest.len()));
        for _ in 0..count {
            all.push(Self::decode(from)?);
        }
        Ok(all)
    }
}

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl DecodeError {
    /// An enum has no case of this number.
    pub fn case(name: &str, number: u8) -> Self {
        Self(format!("`{name}` has no case {number}"))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

/// Bytes that are being read.
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Takes some bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| DecodeError(format!("{count} more bytes are wanted, and {} are there", self.rest.len())))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes one byte.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take(1).map(|bytes| bytes.first().copied().unwrap_or_default())
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        u32::decode(self).map(|length| usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn switch(&mut self, name: &str) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::case(name, other)),
        }
    }
}

/// The bytes of a value.
pub fn encode(value: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// The value that some bytes are; all of them.
///
/// # Errors
///
/// The bytes end early, hold no such value, or are more than one.
pub fn decode<T: Decode>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut from = Input { rest: bytes };
    let value = T::decode(&mut from)?;
    match from.rest.len() {
        0 => Ok(value),
        more => Err(DecodeError(format!("{more} bytes are too many"))),
    }
}

fn encode_length(length: usize, to: &mut Vec<u8>) {
    // What is longer than four gigabytes is over every limit of the contract, and is found to be cut short.
    u32::try_from(length).unwrap_or(u32::MAX).encode(to);
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Encode for $type {
            fn encode(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
        }

        impl Decode for $type {
            fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(from.take(size_of::<$type>())?);
                Ok(Self::from_le_bytes(bytes))
            }
        })*
    };
}

numbers!(u16, u32, u64, i32, i64, f64);

impl Encode for u8 {
    fn encode(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn encode_all(all: &[Self], to: &mut Vec<u8>) {
        to.extend_from_slice(all);
    }
}

impl Decode for u8 {
    fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
        from.byte()
    }

    fn decode_all(count: usize, from: &mut Input<'_>) -> Result<Vec<Self>, DecodeError> {
        from.take(count).map(<[u8]>::to_vec)
    }
}

impl Encode for bool {
    fn encode(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }
}

impl Decode for bool {
    fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
        from.switch("bool")
    }
}

impl Encode for str {
    fn encode(&self, to: &mut Vec<u8>) {
        self.as_bytes().encode(to);
    }
}

impl Encode for String {
    fn encode(&self, to: &mut Vec<u8>) {
        self.as_str().encode(to);
    }
}

impl Decode for String {
    fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
        let length = from.length()?;
        let text = std::str::from_utf8(from.take(length)?);
        text.map(str::to_owned).map_err(|error| DecodeError(format!("a text that is not UTF-8: {error}")))
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, to: &mut Vec<u8>) {
        encode_length(self.len(), to);
        T::encode_all(self, to);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, to: &mut Vec<u8>) {
        self.as_slice().encode(to);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
        let count = from.length()?;
        T::decode_all(count, from)
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            None => to.push(0),
            Some(value) => {
                to.push(1);
                value.encode(to);
            }
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(if from.switch("option")? { Some(T::decode(from)?) } else { None })
    }
}

impl<T: Encode, E: Encode> Encode for Result<T, E> {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                to.push(0);
                value.encode(to);
            }
            Err(error) => {
                to.push(1);
                error.encode(to);
            }
        }
    }
}

impl<T: Decode, E: Decode> Decode for Result<T, E> {
    fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(if from.switch("result")? { Err(E::decode(from)?) } else { Ok(T::decode(from)?) })
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, to: &mut Vec<u8>) {
        (**self).encode(to);
    }
}

macro_rules! tuples {
    ($(($($name:ident),*))*) => {
        $(#[allow(non_snake_case, reason = "the names of the types name the values as well")]
        impl<$($name: Encode),*> Encode for ($($name,)*) {
            #[allow(unused_variables, reason = "the empty one")]
            fn encode(&self, to: &mut Vec<u8>) {
                let ($($name,)*) = self;
                $($name.encode(to);)*
            }
        }

        impl<$($name: Decode),*> Decode for ($($name,)*) {
            #[allow(unused_variables, reason = "the empty one")]
            fn decode(from: &mut Input<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::decode(from)?,)*))
            }
        })*
    };
}

tuples! { () (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_have_the_bytes_that_are_documented() {
        fn check<T: Encode + Decode + PartialEq + fmt::Debug>(value: T, bytes: &[u8]) {
            assert_eq!(encode(&value), bytes);
            assert_eq!(decode::<T>(bytes), Ok(value));
        }
        check(true, &[1]);
        check(0x0102_u16, &[2, 1]);
        check(-2_i64, &[254, 255, 255, 255, 255, 255, 255, 255]);
        check("é".to_owned(), &[2, 0, 0, 0, 0xc3, 0xa9]);
        check(vec![7_u8, 8], &[2, 0, 0, 0, 7, 8]);
        check(vec![Some(1_u8), None], &[2, 0, 0, 0, 1, 1, 0]);
        check(Err::<(), _>("x".to_owned()), &[1, 1, 0, 0, 0, b'x']);
        check((1_u8, String::new(), false), &[1, 0, 0, 0, 0, 0]);
        assert!(decode::<f64>(&encode(&f64::NAN)).is_ok_and(f64::is_nan));
    }

    #[test]
    fn bytes_that_are_wrong_are_an_error_and_take_no_memory() {
        assert!(decode::<Vec<u64>>(&[255, 255, 255, 255, 1]).is_err(), "a length that is not there");
        assert!(decode::<Vec<u8>>(&[255, 255, 255, 255]).is_err());
        assert!(decode::<String>(&[1, 0, 0, 0, 255]).is_err(), "no UTF-8");
        assert!(decode::<bool>(&[2]).is_err(), "neither");
        assert!(decode::<u8>(&[1, 2]).is_err(), "more than one");
        assert!(decode::<Option<u8>>(&[1]).is_err(), "cut short");
    }
}
