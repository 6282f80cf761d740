//! The events in the order in which they happened, and their JSON.

use std::fmt::Write;

use super::history::{EPOCH_MINUTES, Flight, History, Weather, decode};
use crate::error::{CliError, CliResult};

/// The compressed history: see `data/README.md`.
const PACKED: &[u8] = include_bytes!("../../../data/new-york-2013.zst");
/// More than it takes when decompressed.
const PLAIN_BYTES_MAX: usize = 16 << 20;

/// One event, as a place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Flight(usize),
    Weather(usize),
}

/// Every event by time, and what they are made of.
pub struct Events {
    history: History,
    order: Vec<(i64, Event)>,
}

impl Events {
    /// Unpacks what the binary carries.
    ///
    /// # Errors
    /// When the binary was built from a damaged file.
    pub fn load() -> CliResult<Self> {
        let damaged = || CliError::Failed("the demo's events in this binary are damaged".into());
        let plain = zstd::bulk::decompress(PACKED, PLAIN_BYTES_MAX).map_err(|_| damaged())?;
        let history = decode(&plain).ok_or_else(damaged)?;
        let flights = history.flights.iter().enumerate();
        let weather = history.weather.iter().enumerate();
        let mut order: Vec<(i64, Event)> = flights
            .map(|(index, flight)| (departed_minutes(flight), Event::Flight(index)))
            .chain(weather.map(|(index, hour)| (i64::from(hour.hour) * 60, Event::Weather(index))))
            .collect();
        // Stable: events of the same minute stay as they are.
        order.sort_by_key(|(minutes, _)| *minutes);
        Ok(Self { history, order })
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Milliseconds since the Unix epoch and the event, by time.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Event)> {
        let order = self.order.iter();
        order.map(|(minutes, event)| ((EPOCH_MINUTES + minutes) * 60_000, *event))
    }

    /// Writes the event's key and JSON into `key` and `value`, which are cleared first.
    pub fn write(&self, at_ms: i64, event: Event, key: &mut String, value: &mut String) {
        key.clear();
        value.clear();
        // Writing to a string cannot fail.
        let _ = match event {
            Event::Flight(index) => match self.history.flights.get(index) {
                Some(flight) => self.write_flight(at_ms, flight, key, value),
                None => Ok(()),
            },
            Event::Weather(index) => match self.history.weather.get(index) {
                Some(hour) => self.write_weather(at_ms, hour, key, value),
                None => Ok(()),
            },
        };
    }

    fn write_flight(
        &self,
        at_ms: i64,
        flight: &Flight,
        key: &mut String,
        value: &mut String,
    ) -> std::fmt::Result {
        let (carrier, name) = self
            .history
            .carriers
            .get(usize::from(flight.carrier))
            .map_or(("", ""), |(code, name)| (code, name));
        write!(key, "{carrier}{}", flight.number)?;
        let origin = text(&self.history.origins, flight.origin);
        let destination = text(&self.history.destinations, flight.destination);
        write!(value, "{{\"time\":\"")?;
        write_time(value, at_ms)?;
        write!(
            value,
            "\",\"carrier\":\"{carrier}\",\"carrier_name\":\"{name}\",\"flight\":{},\
             \"origin\":\"{origin}\",\"destination\":\"{destination}\",\"distance_miles\":{},\
             \"cancelled\":{}",
            flight.number,
            flight.distance_miles,
            flight.departure_delay.is_none()
        )?;
        write_number(value, "departure_delay_minutes", flight.departure_delay, 1)?;
        write_number(value, "arrival_delay_minutes", flight.arrival_delay, 1)?;
        write_number(value, "air_time_minutes", flight.air_time, 1)?;
        value.write_char('}')
    }

    fn write_weather(
        &self,
        at_ms: i64,
        hour: &Weather,
        key: &mut String,
        value: &mut String,
    ) -> std::fmt::Result {
        let origin = text(&self.history.origins, hour.origin);
        key.push_str(origin);
        write!(value, "{{\"time\":\"")?;
        write_time(value, at_ms)?;
        write!(value, "\",\"origin\":\"{origin}\"")?;
        write_number(value, "temperature_fahrenheit", hour.temperature, 100)?;
        write_number(value, "wind_miles_per_hour", hour.wind_speed, 1)?;
        write_number(value, "precipitation_inches", hour.precipitation, 100)?;
        write_number(value, "visibility_miles", hour.visibility, 100)?;
        write_number(value, "pressure_millibars", hour.pressure, 10)?;
        value.write_char('}')
    }
}

/// A cancelled flight is an event at its scheduled time.
fn departed_minutes(flight: &Flight) -> i64 {
    i64::from(flight.scheduled) + i64::from(flight.departure_delay.unwrap_or(0))
}

fn text(names: &[String], index: u8) -> &str {
    names.get(usize::from(index)).map_or("", String::as_str)
}

/// A field with a number in parts of `scale`; nothing where it is missing.
fn write_number(out: &mut String, name: &str, number: Option<i16>, scale: u16) -> std::fmt::Result {
    match number {
        None => Ok(()),
        Some(number) if scale == 1 => write!(out, ",\"{name}\":{number}"),
        Some(number) => write!(out, ",\"{name}\":{}", f64::from(number) / f64::from(scale)),
    }
}

/// `2013-01-01T10:17:00Z`.
fn write_time(out: &mut String, at_ms: i64) -> std::fmt::Result {
    let seconds = at_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // The Gregorian calendar in eras of 400 years, years counted from March.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = 400 * era + year + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z",
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_is_whole_and_in_order() {
        let events = Events::load().unwrap();
        assert_eq!(events.len(), 336_776 + 26_115);
        let times: Vec<i64> = events.iter().map(|(at_ms, _)| at_ms).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn every_event_is_json_with_a_key() {
        let events = Events::load().unwrap();
        let (mut key, mut value) = (String::new(), String::new());
        for (at_ms, event) in events.iter().step_by(97) {
            events.write(at_ms, event, &mut key, &mut value);
            assert!(!key.is_empty());
            let parsed: serde_json::Value = serde_json::from_str(&value).unwrap();
            assert!(
                parsed["time"].as_str().unwrap().starts_with("201"),
                "{value}"
            );
        }
    }

    #[test]
    fn the_first_flight_of_the_year_is_known() {
        let events = Events::load().unwrap();
        let (mut key, mut value) = (String::new(), String::new());
        let first = events
            .iter()
            .find(|(_, event)| matches!(event, Event::Flight(_)));
        let (at_ms, event) = first.unwrap();
        events.write(at_ms, event, &mut key, &mut value);
        assert_eq!(key, "UA1545");
        assert!(
            value.starts_with("{\"time\":\"2013-01-01T10:17:00Z\",\"carrier\":\"UA\""),
            "{value}"
        );
        assert!(value.contains("\"arrival_delay_minutes\":11"), "{value}");
    }
}
