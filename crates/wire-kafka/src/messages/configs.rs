//! Settings of topics and brokers.

use crate::table::message;
use crate::types::KStr;

message! {
    /// Resources whose configs to tell; null keys mean all (KIP-133, KIP-569).
    message DescribeConfigsRequest, flexible 4 {
        resources:             Vec<DescribeConfigsResource>, 0..;
        include_synonyms:      bool,                         0..;
        include_documentation: bool,                         3..;
    }

    part DescribeConfigsResource {
        resource_type:      i8,                0..;
        resource_name:      KStr,              0..;
        configuration_keys: Option<Vec<KStr>>, 0.., default Some(Vec::new());
    }

    /// The configs of each resource.
    message DescribeConfigsResponse, flexible 4 {
        throttle_time_ms: i32,                        0..;
        results:          Vec<DescribeConfigsResult>, 0..;
    }

    part DescribeConfigsResult {
        error_code:    i16,                                0..;
        error_message: Option<KStr>,                       0.., default Some(KStr::new());
        resource_type: i8,                                 0..;
        resource_name: KStr,                               0..;
        configs:       Vec<DescribeConfigsResourceResult>, 0..;
    }

    part DescribeConfigsResourceResult {
        name:          KStr,                        0..;
        value:         Option<KStr>,                0.., default Some(KStr::new());
        read_only:     bool,                        0..;
        config_source: i8,                          0.., default -1;
        is_sensitive:  bool,                        0..;
        synonyms:      Vec<DescribeConfigsSynonym>, 0..;
        config_type:   i8,                          3..;
        documentation: Option<KStr>,                3.., default Some(KStr::new());
    }

    part DescribeConfigsSynonym {
        name:   KStr,         0..;
        value:  Option<KStr>, 0.., default Some(KStr::new());
        source: i8,           0..;
    }

    /// Replaces all configs of a resource (KIP-133).
    message AlterConfigsRequest, flexible 2 {
        resources:     Vec<AlterConfigsResource>, 0..;
        validate_only: bool,                      0..;
    }

    part AlterConfigsResource {
        resource_type: i8,                   0..;
        resource_name: KStr,                 0..;
        configs:       Vec<AlterableConfig>, 0..;
    }

    part AlterableConfig {
        name:  KStr,         0..;
        value: Option<KStr>, 0.., default Some(KStr::new());
    }

    /// The result for each resource.
    message AlterConfigsResponse, flexible 2 {
        throttle_time_ms: i32,                               0..;
        responses:        Vec<AlterConfigsResourceResponse>, 0..;
    }

    part AlterConfigsResourceResponse {
        error_code:    i16,          0..;
        error_message: Option<KStr>, 0.., default Some(KStr::new());
        resource_type: i8,           0..;
        resource_name: KStr,         0..;
    }

    /// Sets, deletes, appends to or subtracts from single configs (KIP-339).
    message IncrementalAlterConfigsRequest, flexible 1 {
        resources:     Vec<IncrementalAlterConfigsRequestAlterConfigsResource>, 0..;
        validate_only: bool,                                                    0..;
    }

    part IncrementalAlterConfigsRequestAlterConfigsResource {
        resource_type: i8,                                                 0..;
        resource_name: KStr,                                               0..;
        configs:       Vec<IncrementalAlterConfigsRequestAlterableConfig>, 0..;
    }

    part IncrementalAlterConfigsRequestAlterableConfig {
        name:             KStr,         0..;
        config_operation: i8,           0..;
        value:            Option<KStr>, 0.., default Some(KStr::new());
    }

    /// The result for each resource.
    message IncrementalAlterConfigsResponse, flexible 1 {
        throttle_time_ms: i32,                                                              0..;
        responses:        Vec<IncrementalAlterConfigsResponseAlterConfigsResourceResponse>, 0..;
    }

    part IncrementalAlterConfigsResponseAlterConfigsResourceResponse {
        error_code:    i16,          0..;
        error_message: Option<KStr>, 0.., default Some(KStr::new());
        resource_type: i8,           0..;
        resource_name: KStr,         0..;
    }
}
