//! Protobuf's wire format, for those who need fields without decoding the message.

/// Why bytes are no message, or not one that all readers would understand alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field ends after the bytes do.
    #[error("message is cut off")]
    Truncated,
    /// A number of more than 64 bits, or a tag of more than 32.
    #[error("message has a number out of range")]
    Overflow,
    /// Field number 0 or a group.
    #[error("message has a field that protobuf 3 does not allow")]
    BadField,
    /// A field that we know has a wire type that it cannot have.
    #[error("field {0} has the wrong wire type")]
    WireType(u32),
    /// A string is not UTF-8.
    #[error("field {0} is not UTF-8")]
    Utf8(u32),
}

/// Content of a field.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// 4 or 8 bytes.
    Fixed,
}

/// One field of a message.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// Tag, length and content.
    pub(crate) raw: &'a [u8],
}

impl<'a> Field<'a> {
    pub(crate) fn varint(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(WireError::WireType(self.number)),
        }
    }

    pub(crate) fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::WireType(self.number)),
        }
    }

    pub(crate) fn text(&self) -> Result<&'a str, WireError> {
        str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8(self.number))
    }
}

/// Iterates over the fields of one message. Ends after the first error.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = read_field(self.0);
        self.0 = match &field {
            Ok(field) => self.0.get(field.raw.len()..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(field)
    }
}

fn read_field(bytes: &[u8]) -> Result<Field<'_>, WireError> {
    let (tag, rest) = read_varint(bytes)?;
    let tag = u32::try_from(tag).map_err(|_| WireError::Overflow)?;
    let number = tag >> 3;
    if number == 0 {
        return Err(WireError::BadField);
    }
    let (value, rest) = match tag & 7 {
        0 => {
            let (value, rest) = read_varint(rest)?;
            (Value::Varint(value), rest)
        }
        1 => (Value::Fixed, rest.get(8..).ok_or(WireError::Truncated)?),
        2 => {
            let (len, rest) = read_varint(rest)?;
            let len = usize::try_from(len).map_err(|_| WireError::Truncated)?;
            let (content, rest) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
            (Value::Bytes(content), rest)
        }
        5 => (Value::Fixed, rest.get(4..).ok_or(WireError::Truncated)?),
        _ => return Err(WireError::BadField),
    };
    let raw = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
    Ok(Field { number, value, raw })
}

fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), WireError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        // The tenth byte has room for one bit.
        if index == 9 && byte > 1 {
            return Err(WireError::Overflow);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(if bytes.len() < 10 {
        WireError::Truncated
    } else {
        WireError::Overflow
    })
}
