//! A year of real events in compact form: the flights that left New York's airports in 2013, and
//! the hourly weather there. `data/README.md` says where it comes from; `examples/demo_data.rs`
//! writes the file.
//!
//! The file is one zstd frame of: a version byte; the carriers (codes and names), origins and
//! destinations; the routes; then the columns of the flights and of the weather, each column by
//! itself (so that it compresses well), numbers of two bytes as all low bytes, then all high bytes.

/// The layout's version.
pub const VERSION: u8 = 1;
/// 2013-01-01T00:00:00Z in minutes since the Unix epoch: where times in the file begin.
pub const EPOCH_MINUTES: i64 = 22_616_640;
/// A number that is missing.
pub const MISSING: i16 = i16::MIN;

/// All events, each kind by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Code and name.
    pub carriers: Vec<(String, String)>,
    pub origins: Vec<String>,
    pub destinations: Vec<String>,
    /// By scheduled time.
    pub flights: Vec<Flight>,
    /// By time.
    pub weather: Vec<Weather>,
}

/// One flight. Times are minutes after [`EPOCH_MINUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    pub scheduled: u32,
    /// Places in the lists of [`History`].
    pub carrier: u8,
    pub origin: u8,
    pub destination: u8,
    pub number: u16,
    /// Minutes; missing when the flight was cancelled.
    pub departure_delay: Option<i16>,
    /// Minutes; missing also when it was diverted.
    pub arrival_delay: Option<i16>,
    /// Minutes.
    pub air_time: Option<i16>,
    pub distance_miles: u16,
}

/// The weather of one hour at one airport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Hours after [`EPOCH_MINUTES`].
    pub hour: u32,
    pub origin: u8,
    /// Hundredths of a degree Fahrenheit.
    pub temperature: Option<i16>,
    /// Miles per hour.
    pub wind_speed: Option<i16>,
    /// Hundredths of an inch.
    pub precipitation: Option<i16>,
    /// Hundredths of a mile.
    pub visibility: Option<i16>,
    /// Tenths of a millibar.
    pub pressure: Option<i16>,
}

/// A route's distance in miles and usual time in the air in minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub distance_miles: u16,
    pub air_time: i16,
}

/// Reads what [`History`]'s file holds, decompressed. `None` if it is not one.
pub fn decode(bytes: &[u8]) -> Option<History> {
    let mut reader = Reader(bytes);
    if reader.byte()? != VERSION {
        return None;
    }
    let codes = reader.texts()?;
    let carriers = codes.into_iter().zip(reader.texts()?).collect();
    let origins = reader.texts()?;
    let destinations = reader.texts()?;
    let routes = reader.routes(origins.len() * destinations.len())?;
    let flights = reader.flights(&routes, destinations.len())?;
    let weather = reader.weather()?;
    Some(History {
        carriers,
        origins,
        destinations,
        flights,
        weather,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn count(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        let count = self.byte()?;
        (0..count)
            .map(|_| {
                let length = usize::from(self.byte()?);
                String::from_utf8(self.take(length)?.to_vec()).ok()
            })
            .collect()
    }

    /// A column of two-byte numbers.
    fn numbers(&mut self, count: usize) -> Option<impl Iterator<Item = i16> + use<'a>> {
        let (low, high) = (self.take(count)?, self.take(count)?);
        let pairs = low.iter().zip(high);
        Some(pairs.map(|(low, high)| i16::from_le_bytes([*low, *high])))
    }

    fn routes(&mut self, count: usize) -> Option<Vec<Route>> {
        let distances = self.numbers(count)?;
        let air_times = self.numbers(count)?;
        let routes = distances.zip(air_times).map(|(distance, air_time)| Route {
            distance_miles: distance.unsigned_abs(),
            air_time,
        });
        Some(routes.collect())
    }

    fn flights(&mut self, routes: &[Route], destinations: usize) -> Option<Vec<Flight>> {
        let count = self.count()?;
        let mut steps = self.numbers(count)?;
        let carriers = self.take(count)?;
        let mut numbers = self.numbers(count)?;
        let (origins, targets) = (self.take(count)?, self.take(count)?);
        let mut departures = self.numbers(count)?;
        let mut gains = self.numbers(count)?;
        let mut air_times = self.numbers(count)?;
        let mut scheduled = 0_u32;
        let places = carriers.iter().zip(origins).zip(targets);
        places
            .map(|((carrier, origin), destination)| {
                scheduled = scheduled.checked_add(u32::from(steps.next()?.unsigned_abs()))?;
                let route = usize::from(*origin) * destinations + usize::from(*destination);
                let route = routes.get(route)?;
                let departure_delay = present(departures.next()?);
                let gain = present(gains.next()?);
                Some(Flight {
                    scheduled,
                    carrier: *carrier,
                    origin: *origin,
                    destination: *destination,
                    number: numbers.next()?.unsigned_abs(),
                    departure_delay,
                    arrival_delay: departure_delay
                        .zip(gain)
                        .and_then(|(delay, gain)| delay.checked_add(gain)),
                    air_time: present(air_times.next()?)
                        .and_then(|more| route.air_time.checked_add(more)),
                    distance_miles: route.distance_miles,
                })
            })
            .collect()
    }

    fn weather(&mut self) -> Option<Vec<Weather>> {
        let count = self.count()?;
        let mut steps = self.numbers(count)?;
        let origins = self.take(count)?;
        let mut columns = [
            self.numbers(count)?,
            self.numbers(count)?,
            self.numbers(count)?,
            self.numbers(count)?,
            self.numbers(count)?,
        ];
        let mut hour = 0_u32;
        origins
            .iter()
            .map(|origin| {
                hour = hour.checked_add(u32::from(steps.next()?.unsigned_abs()))?;
                let [temperature, wind_speed, precipitation, visibility, pressure] = &mut columns;
                Some(Weather {
                    hour,
                    origin: *origin,
                    temperature: present(temperature.next()?),
                    wind_speed: present(wind_speed.next()?),
                    precipitation: present(precipitation.next()?),
                    visibility: present(visibility.next()?),
                    pressure: present(pressure.next()?),
                })
            })
            .collect()
    }
}

fn present(number: i16) -> Option<i16> {
    (number != MISSING).then_some(number)
}
