#include "close_after.h"
#include "row_heat.h"

MOERAM_PLUGIN(listener<RowHeat>("RowHeat"), row_policy<CloseAfter>("CloseAfter"))
