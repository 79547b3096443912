"""Which tests hold what was once wrong, by the number of its fault: `pytest -k C7`. (A: trust; B: faults and endings; C: what the
user's documents ask; D: friction.)"""

NUMBERS = {
    "A1": [
        "security/test_laws_of_trust.py::TestA1OnlyWorkInProportion::test_a_secret_of_each_kind_does_not_make_a_long_text_expensive",
        "security/test_linear_time.py::test_a_path_of_63_kb_is_masked_in_no_time",
    ],
    "A2": [
        "gateway/test_server.py::test_a_request_without_a_key_is_refused_before_its_body",
        "gateway/test_server.py::test_bodies_have_one_budget_and_one_client_a_share_of_it",
        "gateway/test_server.py::test_connections_of_one_address_are_limited",
        "gateway/test_server.py::test_a_hello_is_small_and_nothing_is_compressed",
        "security/test_floods.py::test_connections_without_a_key_that_send_bodies_hold_nothing",
        "security/test_floods.py::test_compressed_bodies_that_expand_without_end_are_bounded",
        "security/test_floods.py::test_hellos_that_are_huge_are_cut_off",
    ],
    "A3": [
        "security/test_laws_of_trust.py::TestA3WhatReachedUpstreamIsBooked::test_a_client_that_leaves_after_the_first_words",
        "security/test_laws_of_trust.py::TestA3WhatReachedUpstreamIsBooked::test_a_stream_without_its_usage_is_booked_whole",
        "gateway/test_worlds.py::test_whatever_happens_budgets_hold_and_nothing_is_left",
    ],
    "A4": [
        "security/test_laws_of_trust.py::TestA4WhatIsCheckedIsWhatIsSent::test_a_name_that_stands_twice_reaches_nobody_twice",
        "security/test_laws_of_trust.py::TestA4WhatIsCheckedIsWhatIsSent::test_a_name_in_other_letters_is_refused",
    ],
    "A5": [
        "gateway/test_server.py::test_frames_that_only_prepare_are_requests_and_do_not_grow",
        "gateway/test_server.py::test_what_a_connection_remembers_is_bounded_and_counted",
        "gateway/test_server.py::test_unread_answers_are_bounded_by_key_and_the_stalled_stream_alone_ends",
        "gateway/test_server.py::test_sessions_of_a_key_are_limited_and_of_others_not",
        "security/test_floods.py::test_sessions_of_one_key_stop_at_its_limit",
        "security/test_floods.py::test_answers_that_nobody_takes_are_bounded_and_given_back",
    ],
    "A6": [
        "gateway/test_body.py::test_a_body_of_very_many_parts_is_refused_by_name",
        "gateway/test_body.py::test_a_large_body_is_what_it_would_be_at_once_and_gives_way",
        "security/test_laws_of_trust.py::TestA6LargeBodiesHoldNobodyElse::test_large_bodies_of_one_caller_wait_for_each_other_and_no_others_for_them",
    ],
    "A7": [
        "wire/test_limits_of_reading.py::test_an_endless_answer_that_is_folded_ends_in_an_error_that_names_the_limit",
        "wire/test_limits_of_reading.py::test_an_event_without_end_is_an_error",
        "backends/test_transport.py::test_a_body_without_end_is_given_up",
    ],
    "A8": [
        "security/test_laws_of_trust.py::TestA8AnEndedSecretEndsEverywhere::test_streams_sockets_and_what_is_idle_within_a_second",
        "gateway/test_access.py::TestGateway::test_a_rotation_ends_the_old_secret_on_an_open_socket",
    ],
    "A9": [
        "gateway/test_access.py::TestGateway::test_the_holder_of_the_management_key_is_not_locked_out_by_others",
        "gateway/test_server.py::test_the_address_of_a_client_comes_from_a_trusted_proxy_and_never_else",
    ],
    "A10": [
        "security/test_attacks.py::test_a_login_cannot_be_sent_where_nobody_should_ask",
        "security/test_attacks.py::test_a_client_cannot_choose_where_its_request_goes",
    ],
    "A11": [
        "gateway/test_access.py::TestGateway::test_every_request_of_a_key_counts",
    ],
    "A12": [
        "gateway/test_observation.py::TestMetrics::test_no_name_that_a_client_invents_becomes_a_label",
    ],
    "A13": [
        "gateway/test_access.py::TestTelling::test_unknown_wrong_and_ended_keys_take_the_same_time_and_one_look",
    ],
    "A14": [
        "gateway/test_accounts.py::test_a_stranger_is_told_no_account_and_no_address",
    ],
    "A15": [
        "sdk/test_laws.py::test_a_child_of_the_client_has_none_of_our_secrets",
        "sdk/test_laws.py::test_a_shell_tool_of_the_real_cli_sees_none_of_our_secrets",
    ],
    "A16": [
        "gateway/test_server.py::test_values_that_become_headers_are_checked_where_they_enter",
    ],
    "A17": [
        "commands/test_gateway_commands.py::test_no_command_takes_a_secret_as_an_argument",
        "test_operations.py::test_images_of_others_are_pinned_by_digest",
        "test_operations.py::test_no_secret_is_written_as_an_argument",
    ],
    "A18": [
        "browser/test_page.py::test_history_that_is_damaged_is_shown_as_text_and_stops_nothing",
    ],
    "A19": [
        "security/test_laws_of_trust.py::TestA19OnesOwnFaultsCountForOneself::test_a_key_that_provokes_errors_closes_no_model_for_others",
        "gateway/test_accounts.py::test_what_one_key_provokes_never_counts_against_another",
    ],
    "B1": [
        "gateway/test_leaving.py::test_leaving_before_the_head_ends_upstream_within_a_second",
        "gateway/test_leaving.py::test_one_client_that_leaves_starves_nobody",
        "gateway/test_laws_of_endings.py::TestWhoeverLeaves::test_of_a_conversation_at_any_byte_of_the_answer",
        "gateway/test_every_request.py::test_a_client_that_left_is_seen_once_as_499",
    ],
    "B2": [
        "gateway/test_relayed_streams.py::test_a_ping_never_stands_inside_an_event",
    ],
    "B3": [
        "gateway/test_server.py::test_request_and_cancel_together_end_exactly_once",
        "gateway/test_socket_worlds.py::test_each_stream_ends_once_and_nothing_is_left",
    ],
    "B5": [
        "gateway/test_laws_of_endings.py::test_ready_asks_what_requests_need_and_answers_within_seconds",
        "backends/test_copilot.py::test_a_stale_list_serves_while_a_new_one_does_not_come",
    ],
    "B6": [
        "gateway/test_relayed_streams.py::test_openais_client_can_stream_tool_calls",
    ],
    "B7": [
        "gateway/test_accounts.py::test_what_one_model_was_refused_for_leaves_the_others_alone",
        "gateway/test_accounts.py::test_when_all_cool_down_the_client_hears_how_long",
    ],
    "B8": [
        "gateway/test_server.py::test_a_stop_lets_streams_finish_cuts_the_rest_with_an_error_and_drains_sockets",
        "gateway/test_server.py::test_what_waits_on_a_responses_socket_at_a_stop_is_answered_with_an_error",
        "gateway/test_server.py::test_a_hangup_signal_reloads_and_no_stream_notices",
        "gateway/test_workers.py::test_a_stop_cuts_what_does_not_end_in_the_clients_dialect",
    ],
    "B9": [
        "gateway/test_workers.py::test_what_was_under_way_when_all_workers_were_killed_is_booked_and_blocks_nobody",
        "gateway/test_worlds.py::test_a_process_that_is_killed_again_and_again_loses_no_booking_and_blocks_no_key",
        "state/test_contract.py::test_the_reservation_is_on_disk_before_the_caller_goes_on",
    ],
    "B10": [
        "gateway/test_laws_of_endings.py::test_a_database_that_hangs_is_answered_for_in_time_named_and_waits_for_nobody",
    ],
    "B11": [
        "gateway/test_laws_of_endings.py::test_a_home_that_cannot_be_written_serves_and_says_so",
    ],
    "B12": [
        "gateway/test_log_writer.py::test_a_gateway_whose_log_nobody_reads_answers_and_ends",
        "gateway/test_log_writer.py::test_lost_lines_are_a_metric_and_a_line_of_the_log",
    ],
    "B13": [
        "gateway/test_laws_of_endings.py::TestCompleteOrAnError::test_a_whole_answer_that_was_cut_anywhere",
        "gateway/test_laws_of_endings.py::TestCompleteOrAnError::test_an_answer_of_another_kind",
        "gateway/test_laws_of_endings.py::TestCompleteOrAnError::test_a_whole_answer_to_a_request_for_a_stream",
    ],
    "B14": [
        "gateway/test_laws_of_endings.py::TestOneError::test_a_stream_that_is_cut_at_any_byte",
        "gateway/test_relayed_streams.py::test_upstreams_own_error_is_the_only_one",
        "gateway/test_relayed_streams.py::test_a_connection_that_is_lost_is_told_in_our_words",
    ],
    "B15": [
        "gateway/test_laws_of_endings.py::TestSeenOnce::test_whatever_comes_of_it",
        "gateway/test_every_request.py::test_a_request_is_seen_once_everywhere",
    ],
    "B16": [
        "gateway/test_server.py::test_a_stalled_reader_gains_no_tasks",
    ],
    "B18": [
        "gateway/test_access.py::TestGateway::test_a_budget_that_is_only_reserved_says_so",
    ],
    "B4": [
        "sdk/test_laws.py::test_a_time_limit_covers_the_sending_of_the_message",
        "sdk/test_laws.py::test_a_time_limit_covers_the_waiting_for_earlier_turns",
    ],
    "B17": [
        "sdk/test_laws.py::test_nothing_outlives_stop",
        "sdk/test_laws.py::test_a_failing_handler_is_logged_once_and_then_counted",
        "facade/test_closing.py::test_closing_takes_two_seconds_at_most_whatever_hangs",
    ],
    "C1": [
        "sdk/test_worlds.py::test_every_question_gets_its_own_answer_in_every_world",
        "sdk/test_worlds.py::test_every_question_gets_its_own_answer_in_fifty_worlds_of_the_real_cli",
        "sdk/test_laws.py::test_fifty_at_once_with_tools_and_cancellations_on_the_real_cli",
        "sdk/test_laws.py::test_chats_at_once_on_one_session_of_the_facade_get_their_own_answers",
    ],
    "C2": [
        "layers/test_functions.py::test_a_layer_decorates_functions_and_methods",
        "layers/test_functions.py::test_on_says_for_which_errors",
        "layers/test_functions.py::test_the_sdk_shows_totals_errors_and_what_was_rate_limited",
    ],
    "C3": [
        "patterns/test_guide.py::test_it_has_all_public_names_and_those_of_the_guide",
        "patterns/test_guide_examples.py::test_a_chat_recovers_behind_the_shared_breaker",
        "patterns/test_guide_examples.py::test_a_batch_keeps_errors_in_their_places_and_counts_them",
    ],
    "C4": [
        "sdk/test_tool_rules.py::test_raw_schemas_have_the_same_rules",
        "sdk/test_tool_rules.py::test_keywords_of_json_schema_are_no_parameters",
    ],
    "C5": [
        "facade/test_guards.py::test_prompts_are_checked_where_that_is_asked_for",
        "facade/test_guards.py::test_what_is_secret_or_personal_neither_goes_out_nor_comes_back",
        "facade/test_guards.py::test_a_logger_of_ones_own_is_redacted_in_messages_and_tracebacks",
        "patterns/test_guide.py::test_the_key_comes_from_the_environment_and_its_absence_is_explained",
        "patterns/test_guide.py::test_prompts_that_are_refused",
    ],
    "C6": [
        "lint/test_rules.py::test_what_each_rule_finds",
        "lint/test_rules.py::test_fragments_are_read_without_their_imports",
        "lint/test_rules.py::test_a_history_of_an_object_grows_as_any_other",
        "lint/test_rules.py::test_raw_schemas_of_tools_are_read_wherever_they_stand",
    ],
    "C7": [
        "facade/test_results.py::test_an_answer_that_has_no_end_is_given_up_and_the_limit_is_named",
        "facade/test_results.py::test_a_stream_of_the_cli_has_the_same_limit",
    ],
    "C8": ["test_packages.py::test_the_extra_for_developers_is_there"],
    "C9": [
        "recipes/test_servers.py::test_a_client_that_leaves_ends_its_answer_and_leaves_nothing_behind",
        "recipes/test_servers.py::test_a_recipe_without_a_loop",
    ],
    "C10": [
        "sdk/test_jsonrpc_client.py::test_requests_notifications_and_errors",
        "sdk/test_jsonrpc_client.py::test_further_requests_of_the_cli_have_handlers",
    ],
    "C11": [
        "test_examples.py::test_code_in_the_documentation_runs",
        "test_architecture.py::test_what_is_generated_is_that_of_today",
    ],
    "C12": [
        "accounts/test_hosts.py::test_an_address_left_from_another_service_gets_no_token",
        "accounts/test_hosts.py::test_no_token_goes_to_a_host_that_is_not_githubs",
    ],
    "C13": ["accounts/test_hosts.py::test_three_levels_of_addresses_and_what_the_token_names"],
    "C14": [
        "accounts/test_taking_over.py::test_github_is_asked_for_the_login_of_a_file_that_has_none",
        "accounts/test_taking_over.py::test_offline_the_name_is_part_of_a_hash_and_nobody_is_stopped",
        "accounts/test_taking_over.py::test_the_files_of_other_programs_are_read_as_they_are",
        "commands/test_gateway_commands.py::test_a_damaged_account_file_is_named_and_the_others_are_shown",
    ],
    "C15": ["gateway/test_management.py::test_accounts_models_health_and_settings_without_a_secret"],
    "C16": [
        "accounts/test_tokens.py::test_the_headers_in_force_are_documented",
        "test_operations.py::test_who_is_called_for_an_alert_is_what_the_alert_says",
        "test_operations.py::test_every_field_of_the_log_is_documented",
    ],
    "D1": [
        "facade/test_options.py::test_a_wrong_name_is_refused_with_the_nearest_one",
        "facade/test_options.py::test_what_cannot_surround_the_cli_is_refused_by_name",
        "facade/test_results.py::test_every_option_changes_what_is_sent_or_is_named_in_a_warning",
        "facade/test_images.py::test_the_kind_is_found_from_the_bytes_not_from_the_name",
    ],
    "D2": [
        "facade/test_structured.py::test_an_answer_is_a_value_of_the_type",
        "facade/test_structured.py::test_an_answer_that_never_fits_is_an_error_that_holds_the_text",
    ],
    "D3": [
        "sync/test_sync.py::test_many_threads_ask_at_once_and_get_their_own_answers",
        "sync/test_sync.py::test_ctrl_c_cancels_the_call_and_closes",
        "sync/test_sync.py::test_a_module_global_sdk_under_two_loops_says_what_to_do",
    ],
    "D4": [
        "test_readme_lines.py::test_lines_before_an_account_work_when_pasted",
        "test_readme_lines.py::test_lines_of_the_gateway_work_when_pasted",
        "test_readme_lines.py::test_simulate_begins_logged_in_and_finds_its_own_programs",
    ],
    "D5": ["test_readme_lines.py::test_the_first_lines_without_an_account_say_what_to_do"],
    "D6": [
        "test_packages.py::test_the_command_alone_works",
        "test_packages.py::test_the_core_is_two_packages_and_the_sdk",
    ],
    "D9": [
        "commands/test_output.py::test_status_and_lists_fit_80_columns",
        "commands/test_help.py::test_a_command_that_is_misspelt_is_told_the_nearest_one",
        "commands/test_gateway_commands.py::test_a_port_that_was_asked_for_and_is_taken_is_an_error",
        "gateway/test_settings.py::test_a_wrong_setting_is_refused_by_name_in_our_words",
        "gateway/test_settings.py::test_an_unknown_variable_of_ours_is_named_with_the_nearest_known_one",
    ],
    "D10": [
        "testing/test_kit.py::test_the_fixtures_work_in_a_project_of_a_user",
        "testing/test_kit.py::test_without_pytest_asyncio_it_is_said_what_to_install",
        "testing/test_kit.py::test_every_fixture_is_documented_with_its_signature",
    ],
    "D14": ["test_exports.py::test_the_type_checkers_see_the_same_names"],  # and tests/typing, which make check runs
}


def numbers_of(nodeid: str) -> list[str]:
    """The numbers that a test holds."""
    name = nodeid.partition("[")[0].removeprefix("tests/")
    return [number for number, tests in NUMBERS.items() if name in tests]
