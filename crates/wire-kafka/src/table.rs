//! The macro that turns message tables into structs with `decode` and `encode`.
//!
//! A row is one field: its name and type, the versions that carry it, and where they apply
//! - `null RANGE`: the versions in which an `Option` may be null, if not in all that carry it;
//! - `default VALUE`: Kafka's default where it is not the type's own (0, false, empty, null);
//! - `tag N`: it stands in the tagged section (KIP-482), written only when it is not the default.
//!
//! A version that does not carry a field reads as the default and ignores what the field holds
//! when written. `None` in a version that knows no null is written as an empty value.

/// For messages that never became flexible.
pub(crate) const NEVER: i16 = i16::MAX;

macro_rules! message {
    () => {};
    ($(#[$meta:meta])* message $name:ident, flexible $flexible:tt { $($rows:tt)* } $($rest:tt)*) => {
        $crate::table::message!(@part [$(#[$meta])*] $name { $($rows)* });

        impl $crate::message::Message for $name {
            const NAME: &'static str = stringify!($name);
            const FLEXIBLE_FROM: i16 = {
                #[allow(unused_imports)]
                use $crate::table::NEVER;
                $flexible
            };

            fn decode(
                reader: &mut $crate::reader::Reader,
                version: i16,
            ) -> Result<Self, $crate::reader::WireError> {
                <Self as $crate::field::Field>::read(reader, Self::wire_version(version))
            }

            fn encode(&self, writer: &mut $crate::writer::Writer, version: i16) {
                $crate::field::Field::write(self, writer, Self::wire_version(version));
            }
        }

        $crate::table::message!($($rest)*);
    };
    ($(#[$meta:meta])* part $name:ident { $($rows:tt)* } $($rest:tt)*) => {
        $crate::table::message!(@part [$(#[$meta])*] $name { $($rows)* });
        $crate::table::message!($($rest)*);
    };
    (@part [$($meta:tt)*] $name:ident {
        $($field:ident: $ty:ty, $versions:expr
            $(, null $null:expr)? $(, default $default:expr)? $(, tag $tag:literal)?;)*
    }) => {
        $($meta)*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(pub $field: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::table::field!(default $($default)?),)* }
            }
        }

        #[allow(unused_mut, unused_variables, clippy::manual_range_contains)]
        impl $crate::field::Field for $name {
            fn size_min(version: $crate::field::Version) -> usize {
                let mut size = usize::from(version.flexible);
                $($crate::table::field!(size_min size, version, $ty, $versions $(, $tag)?);)*
                size
            }

            fn read(
                reader: &mut $crate::reader::Reader,
                version: $crate::field::Version,
            ) -> Result<Self, $crate::reader::WireError> {
                let mut message = Self::default();
                $($crate::table::field!(
                    read message, $field, reader, version, $versions, [$($null)?] [$($tag)?]
                );)*
                if version.flexible {
                    reader.tagged(|tag, reader| {
                        $($crate::table::field!(
                            read_tagged message, $field, reader, version, $versions, tag $(, $tag)?
                        );)*
                        Ok(false)
                    })?;
                }
                Ok(message)
            }

            fn write(&self, writer: &mut $crate::writer::Writer, version: $crate::field::Version) {
                $($crate::table::field!(
                    write self, $field, writer, version, $versions, [$($null)?] [$($tag)?]
                );)*
                if version.flexible {
                    let mut tagged = 0;
                    $($crate::table::field!(
                        count_tagged tagged, self, $field, version, $versions, [$($default)?]
                        $(, $tag)?
                    );)*
                    writer.uvarint(tagged);
                    $($crate::table::field!(
                        write_tagged self, $field, writer, version, $versions, [$($default)?]
                        $(, $tag)?
                    );)*
                }
            }
        }

        $crate::table::nullable!($name);

        #[cfg(feature = "sample")]
        #[allow(unused_mut, unused_variables, clippy::manual_range_contains)]
        impl $crate::sample::Sample for $name {
            fn sample(
                source: &mut $crate::sample::Source,
                version: $crate::field::Version,
            ) -> Self {
                let mut message = Self::default();
                $($crate::table::field!(
                    sample message, $field, source, version, $versions, [$($null)?] [$($tag)?]
                );)*
                message
            }

            fn unfold(&mut self) {
                $(self.$field.unfold();)*
            }
        }
    };
}

/// One step for one field; the arms without a tag and with one differ.
macro_rules! field {
    (default) => { Default::default() };
    (default $default:expr) => { $default };

    (size_min $size:ident, $version:ident, $ty:ty, $versions:expr) => {
        if ($versions).contains(&$version.number) {
            $size += <$ty as $crate::field::Field>::size_min($version);
        }
    };
    (size_min $size:ident, $version:ident, $ty:ty, $versions:expr, $tag:literal) => {};

    (read $message:ident, $field:ident, $reader:ident, $version:ident, $versions:expr, [] []) => {
        if ($versions).contains(&$version.number) {
            $message.$field = $crate::field::Field::read($reader, $version)?;
        }
    };
    (read $message:ident, $field:ident, $reader:ident, $version:ident, $versions:expr,
        [$null:expr] []) => {
        if ($versions).contains(&$version.number) {
            $message.$field = $crate::field::Field::read($reader, $version)?;
            if $message.$field.is_none() && !($null).contains(&$version.number) {
                return Err($crate::reader::WireError::UnexpectedNull(stringify!($field)));
            }
        }
    };
    (read $message:ident, $field:ident, $reader:ident, $version:ident, $versions:expr,
        [] [$tag:literal]) => {};

    (read_tagged $message:ident, $field:ident, $reader:ident, $version:ident, $versions:expr,
        $found:ident) => {};
    (read_tagged $message:ident, $field:ident, $reader:ident, $version:ident, $versions:expr,
        $found:ident, $tag:literal) => {
        if $found == $tag && ($versions).contains(&$version.number) {
            $message.$field = $crate::field::Field::read($reader, $version)?;
            return Ok(true);
        }
    };

    (write $self:ident, $field:ident, $writer:ident, $version:ident, $versions:expr, [] []) => {
        if ($versions).contains(&$version.number) {
            $crate::field::Field::write(&$self.$field, $writer, $version);
        }
    };
    (write $self:ident, $field:ident, $writer:ident, $version:ident, $versions:expr,
        [$null:expr] []) => {
        if ($versions).contains(&$version.number) {
            if ($null).contains(&$version.number) {
                $crate::field::Field::write(&$self.$field, $writer, $version);
            } else {
                $crate::field::write_required(&$self.$field, $writer, $version);
            }
        }
    };
    (write $self:ident, $field:ident, $writer:ident, $version:ident, $versions:expr,
        [] [$tag:literal]) => {};

    (count_tagged $count:ident, $self:ident, $field:ident, $version:ident, $versions:expr,
        [$($default:expr)?]) => {};
    (count_tagged $count:ident, $self:ident, $field:ident, $version:ident, $versions:expr,
        [$($default:expr)?], $tag:literal) => {
        if ($versions).contains(&$version.number)
            && $crate::field::differs(&$self.$field, $crate::table::field!(default $($default)?))
        {
            $count += 1;
        }
    };

    (write_tagged $self:ident, $field:ident, $writer:ident, $version:ident, $versions:expr,
        [$($default:expr)?]) => {};
    (write_tagged $self:ident, $field:ident, $writer:ident, $version:ident, $versions:expr,
        [$($default:expr)?], $tag:literal) => {
        if ($versions).contains(&$version.number)
            && $crate::field::differs(&$self.$field, $crate::table::field!(default $($default)?))
        {
            $writer.tagged($tag, |writer| {
                $crate::field::Field::write(&$self.$field, writer, $version);
            });
        }
    };

    (sample $message:ident, $field:ident, $source:ident, $version:ident, $versions:expr,
        [] []) => {
        if ($versions).contains(&$version.number) {
            $message.$field = $crate::sample::Sample::sample($source, $version);
        }
    };
    (sample $message:ident, $field:ident, $source:ident, $version:ident, $versions:expr,
        [$null:expr] []) => {
        if ($versions).contains(&$version.number) {
            $message.$field = $crate::sample::Sample::sample($source, $version);
            if $message.$field.is_none() && !($null).contains(&$version.number) {
                $message.$field = Some(Default::default());
            }
        }
    };
    (sample $message:ident, $field:ident, $source:ident, $version:ident, $versions:expr,
        [] [$tag:literal]) => {
        if ($versions).contains(&$version.number) && $source.once_in(2) {
            $message.$field = $crate::sample::Sample::sample($source, $version);
        }
    };
}

/// A struct that can be null has a byte before it: -1 for null, 1 for a value.
macro_rules! nullable {
    ($name:ident) => {
        impl $crate::field::Nullable for $name {
            fn size_min_nullable(_: $crate::field::Version) -> usize {
                1
            }

            fn read_nullable(
                reader: &mut $crate::reader::Reader,
                version: $crate::field::Version,
            ) -> Result<Option<Self>, $crate::reader::WireError> {
                if reader.i8()? < 0 {
                    return Ok(None);
                }
                $crate::field::Field::read(reader, version).map(Some)
            }

            fn write_nullable(
                value: Option<&Self>,
                writer: &mut $crate::writer::Writer,
                version: $crate::field::Version,
            ) {
                writer.i8(if value.is_some() { 1 } else { -1 });
                if let Some(value) = value {
                    $crate::field::Field::write(value, writer, version);
                }
            }
        }
    };
}

pub(crate) use {field, message, nullable};
