// Of every unit program that has no main() of its own.
#include "tests/unit/unit.h"

int main(void)
{
	return unit_run(unit_suite());
}
