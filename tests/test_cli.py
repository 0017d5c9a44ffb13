import firstlight
from firstlight import cli


def test_projects_made_with_the_first_version_find_the_command():
    assert cli.main is firstlight.main
