"""Which tests hold what was once wrong, by the number of its fault: `pytest -k C7`. (C: what the user's documents ask; D: friction; B: faults.)"""

NUMBERS = {
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
    "C3": ["patterns/test_guide.py::test_it_has_all_public_names_and_those_of_the_guide"],
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
